"""The ImageNet-1k classes that show a thing, by its everyday name; numbered as its classifiers' outputs, from 0."""

import numpy as np

from zscmr.datasets.classes import class_key

CLASSES = 1000

#: name → classes whose photos show it, "first-last" for a run of them
NUMBERS = {
    "aircraft carrier": "403", "airplane": "404", "alarm clock": "409 530", "ambulance": "407", "ant": "310",
    "apple": "948", "axe": "596", "backpack": "414", "banana": "954", "bandage": "419", "barn": "425",
    "basket": "588 790", "basketball": "430", "bathtub": "435", "beach": "977 978", "bear": "294-297", "bed": "564 831",
    "bee": "309", "beetle": "300-307", "bicycle": "444 671", "binoculars": "447", "book": "921", "bottlecap": "455",
    "bridge": "821 839 888", "broccoli": "937", "broom": "462", "bucket": "463", "bus": "779 874",
    "butterfly": "321-326", "calculator": "590", "camel": "354", "camera": "732 759", "candle": "470", "cannon": "471",
    "canoe": "472", "car": "436 468 511 817", "castle": "483", "cat": "281-285", "cell phone": "487", "cello": "486",
    "chair": "559 765", "chicken": "7 8", "church": "497", "clarinet": "683", "clock": "409 892",
    "coffee cup": "504 968", "compass": "635", "computer": "527 620 664", "couch": "831", "cow": "345",
    "crab": "118-121", "crocodile": "49 50", "cruise ship": "628", "cup": "504 968", "dishwasher": "534",
    "dog": "151-268", "dresser": "493", "drill": "740", "drums": "541", "duck": "97", "dumbbell": "543",
    "elephant": "385 386", "envelope": "549", "eraser": "767", "eyeglasses": "837", "fan": "545", "feather": "749",
    "fence": "489 716 912", "fireplace": "556", "firetruck": "555", "flamingo": "130", "flashlight": "862",
    "flip flops": "774", "floor lamp": "619 846", "frog": "30-32", "frying pan": "567", "guitar": "402 546",
    "hamburger": "933", "hammer": "587", "harp": "594", "hot air balloon": "417", "hot dog": "934", "hourglass": "604",
    "ice cream": "928", "jail": "743", "kangaroo": "104", "keyboard": "508 878", "knife": "499", "laptop": "620",
    "lighter": "626", "lighthouse": "437", "lion": "291", "lipstick": "629", "lobster": "122 123", "mailbox": "637",
    "matches": "644", "microphone": "650", "microwave": "651", "monkey": "370-382", "motorbike": "665 670",
    "mountain": "970", "mug": "504", "mushroom": "947 992", "nail": "677", "necklace": "679", "ocean": "978",
    "oven": "827", "owl": "24", "paintbrush": "696", "panda": "388", "pants": "608", "parachute": "701",
    "parrot": "87 88", "pencil": "418 749", "piano": "579 881", "pickup truck": "717", "pig": "341", "pillow": "721",
    "pineapple": "953", "pizza": "963", "police car": "734", "pond": "975", "power outlet": "844", "rabbit": "330 331",
    "radio": "754", "rifle": "764", "river": "975 979", "sailboat": "780 914", "sandwich": "933", "saxophone": "776",
    "school bus": "779", "scorpion": "71", "screwdriver": "784", "sea turtle": "33 34", "sewing machine": "786",
    "shark": "2-4", "sheep": "348", "shoe": "630 770", "shorts": "842", "shovel": "792", "sink": "896",
    "sleeping bag": "797", "snail": "113", "snake": "52-68", "snorkel": "801", "sock": "806", "speedboat": "814",
    "spider": "72-77", "spoon": "910", "squirrel": "335", "stereo": "482 485", "stethoscope": "823",
    "stop sign": "919", "stove": "827", "strawberry": "949", "submarine": "833", "swan": "100", "sweater": "474 841",
    "swing set": "843", "syringe": "845", "table": "532", "tank": "847", "t-shirt": "610", "teapot": "849",
    "teddy bear": "850", "telephone": "528 707", "television": "851", "tennis racquet": "752", "tent": "672",
    "tiger": "292", "toaster": "859", "toilet": "861", "tractor": "866", "traffic light": "920", "train": "466 820",
    "trombone": "875", "truck": "717 867", "trumpet": "513", "umbrella": "879", "van": "654 656 675", "vase": "883",
    "violin": "889", "washing machine": "897", "whale": "147", "wine bottle": "907", "wine glass": "572 966",
    "wristwatch": "531", "zebra": "340",
}  # fmt: skip


def membership(names):
    """(names, 1000) float32: 1 where a class of ImageNet shows the thing of that name, a row of 0 for unknown names."""
    known = {class_key(name): numbers for name, numbers in NUMBERS.items()}
    table = np.zeros((len(names), CLASSES), np.float32)
    for row, name in zip(table, names, strict=True):
        for run in known.get(class_key(name), "").split():
            first, _, last = run.partition("-")
            row[int(first) : int(last or first) + 1] = 1
    return table
