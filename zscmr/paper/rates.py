"""How long cells are expected to take."""

from zscmr.paper.cells import machine


class Rates:
    """How long cells take: the documented rates, corrected by the cells that were finished on this machine."""

    def __init__(self):
        self.spent = {}  # kind -> [seconds measured, seconds by the documented rates]

    def note(self, cell, content):
        if content.get("seconds") and content["machine"] == machine():
            for kind in (cell.kind, type(cell)):
                pair = self.spent.setdefault(kind, [0.0, 0.0])
                pair[0] += content["seconds"]
                pair[1] += cell.seconds

    @property
    def source(self):
        return "by the cells finished here" if self.spent else "by documented rates of two CPU cores"

    def expected(self, cell):
        for kind in (cell.kind, type(cell)):
            if kind in self.spent:
                measured, documented = self.spent[kind]
                return cell.seconds * measured / documented
        return cell.seconds
