"""Makes a hostile image from nothing:

    hostile_image.py trees OUTPUT                       OUTPUT/TREE.iso, .squashfs and .erofs of each
                                                        tree of image_tree.py; "many" not as ISO
    hostile_image.py device PATH OUTPUT                 an erofs whose file is on another block device
    hostile_image.py sweep SEED COUNT IMAGE OUTPUT      OUTPUT.1 to OUTPUT.COUNT: an image in which bits
                                                        are wrong, or of which the end is missing
"""
import os
import random
import sys

import image_erofs
import image_iso
import image_squashfs
import image_tree

WRITERS = {"iso": image_iso.write, "squashfs": image_squashfs.write, "erofs": image_erofs.write}


def flip(chance, image):
    """One to thirty bits, most of them near either end, where formats keep what they live by."""
    image = bytearray(image)
    for _ in range(chance.choice((1, 2, 5, 30))):
        near = min(chance.choice((256, 4096, len(image))), len(image))
        place = chance.randrange(near)
        if chance.random() < 0.5:
            place = len(image) - 1 - place
        image[place] ^= 1 << chance.randrange(8)
    return image


def cut(chance, image):
    """At a boundary of what formats count in, or anywhere."""
    step = chance.choice((1, 512, 2048, 4096))
    return image[:chance.randrange(len(image)) // step * step]


def save(path, image):
    with open(path, "wb") as file:
        file.write(image)


def sweep(seed, count, source, output):
    with open(source, "rb") as file:
        image = file.read()
    chance = random.Random(seed + os.path.basename(source))
    for i in range(1, int(count) + 1):
        save(f"{output}.{i}", (cut if i % 3 == 0 else flip)(chance, image))


def trees(output):
    for name, tree in image_tree.TREES.items():
        for form, write in WRITERS.items():
            if (name, form) != ("many", "iso"):
                save(f"{output}/{name}.{form}", write(tree()))


def device(path, output):
    save(output, image_erofs.write(image_tree.TREES["links"](), os.fsencode(path)))


{"trees": trees, "device": device, "sweep": sweep}[sys.argv[1]](*sys.argv[2:])
