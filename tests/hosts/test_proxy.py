"""Two servers of one gallery behind nginx, set up as docs/scale.md prints it; one server is lost."""

import json
import re
import shutil
import sys
import textwrap

import pytest
from helpers.project import ROOT, draw_pictures

pytestmark = pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed: no test of a proxy")
SERVERS = ("host-a", "host-b")
TOKEN = "correct-horse_battery"
#: a request of argv: address, token, file of a picture or ""; prints the status, then the body
ASK = """
import sys, urllib.error, urllib.request
address, token, picture = sys.argv[1:]
headers = {"Authorization": f"Bearer {token}"} if token else {}
body = open(picture, "rb").read() if picture else None
request = urllib.request.Request(address, body, headers | ({"Content-Type": "image/png"} if picture else {}))
try:
    answer = urllib.request.urlopen(request, timeout=30)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.read().decode(errors="replace"), sep="\\n")
"""
NGINX = "daemon off; user root; pid nginx.pid; error_log stderr; events {} http { access_log off; include hosts.conf; }"


class Proxied:
    """nginx on the host `proxy`, and servers of a gallery."""

    def __init__(self, hosts, gallery):
        self.hosts, self.gallery = hosts, gallery
        for name in SERVERS:
            self.serve(name)
        document = (ROOT / "docs/scale.md").read_text()
        (printed,) = re.findall(r"^    upstream .*\n(?:    .*\n)+", document, re.MULTILINE)
        write = 'printf %s "$1" >nginx.conf; printf %s "$2" >hosts.conf; exec nginx -p . -c nginx.conf'
        self.hosts["proxy"].start("sh", "-c", write, "sh", NGINX, textwrap.dedent(printed))

    def serve(self, name):
        """Start the server of a host and wait until it listens."""
        words = ["--gallery", self.gallery, "--draw", "--no-browser", "--host", "0.0.0.0"]
        server = self.hosts[name].start(sys.executable, ROOT / "search.py", *words, ZSCMR_TOKEN=TOKEN)
        assert server.stdout.readline().startswith("http://"), server.communicate()

    def ask(self, path, picture="", token=TOKEN, server="proxy", status=200):
        """Ask as another machine does; return the body."""
        out, _ = self.hosts["client"].python("-c", ASK, f"http://{server}{path}", token, picture)
        received, _, body = out.partition("\n")
        assert int(received) == status, out
        return body

    def search(self, picture, server="proxy"):
        """What was found."""
        return json.loads(self.ask("/search?kind=photo", picture, server=server))["found"]


@pytest.mark.slow
def test_answers_go_on_while_a_server_is_lost(hosts, tmp_path, random, script):
    draw_pictures(tmp_path / "in", random, ("ant", "bee"), per_class=3, size=(40, 40), unseen=())
    picture = sorted((tmp_path / "in").rglob("*.png"))[0]
    script("search.py", "--gallery", tmp_path / "gallery", "--windows", 0, "--add", tmp_path / "in/photo")
    proxied = Proxied(hosts("proxy", "client", *SERVERS), tmp_path / "gallery")

    expected = proxied.search(picture, "host-a:8000")
    assert len(expected) > 5 and proxied.search(picture, "host-b:8000") == expected
    assert [proxied.search(picture) for _ in range(3)] == [expected] * 3
    proxied.hosts.unplug("host-a")
    proxied.hosts["host-a"].kill()
    assert [proxied.search(picture) for _ in range(3)] == [expected] * 3

    assert json.loads(proxied.ask("/openapi.json"))["openapi"].startswith("3.1")
    for path in page_addresses():
        proxied.ask(path)
        proxied.ask(path, token="", status=401)
    assert 'url=/"' in proxied.ask(f"/?token={TOKEN}", token="")


def page_addresses():
    """The page, and what it and its scripts refer to."""
    static = ROOT / "zscmr/server/static"
    page = (static / "index.html").read_text()
    linked = re.findall(r'(?:src|href)="(/[^"]+)"', page)
    imported = [f"/static/{file.name}" for file in static.glob("*.js")]
    return sorted({"/", "/classes", "/health", *linked, *imported})
