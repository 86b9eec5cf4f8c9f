#!/usr/bin/env python3
"""Word problems of the kinds in train.jsonl, with other numbers, names and orders of events.

    make_problems.py SEED COUNT [--without FILE]... >FILE.jsonl

The same seed writes the same problems; no problem comes twice, and none that one of the files has, so that what is
tested is never seen in training."""

import argparse
import itertools
import json
import pathlib
import random

NAMES = (
    "Amir Anna Bella Ben Carla Chen David Dina Eli Emma Felix Grace Henry Iris Jack Kate Leo Mia Noah Olga Paul Quinn "
    "Rosa Sam Tina Umar Vera Will Yara Zoe"
).split()
THINGS = (
    "apples balls beads books buttons candles cards coins cookies eggs flowers kites marbles oranges pencils pens "
    "ribbons shells stamps stickers"
).split()
HOLDERS = "bags baskets boxes jars packs".split()


class Story:
    """What happens to one person's things: `question` and `answer` grow sentence by sentence, `count` is the state."""

    def __init__(self, generator):
        self.random = generator
        self.name, self.other = generator.sample(NAMES, 2)
        self.things = generator.choice(THINGS)
        self.question, self.answer = [], []

    def held(self, most_each):
        each = self.random.randint(2, most_each)
        return self.random.randint(2, 9), self.random.choice(HOLDERS), each

    def open(self):
        name, things, kind = self.name, self.things, self.random.randrange(4)
        if kind == 0:
            self.count = self.random.randint(4, 60)
            self.question.append(f"{name} has {self.count} {things}.")
        elif kind == 1:
            holders, holder, each = self.held(most_each=12)
            self.count = holders * each
            self.question.append(f"{name} has {holders} {holder} with {each} {things} in each.")
            self.answer.append(f"{name} starts with {holders}*{each}={self.count} {things}.")
        elif kind == 2:
            verb = self.random.choice("collects finds makes picks".split())
            daily, days = self.random.randint(2, 12), self.random.randint(2, 9)
            self.count = daily * days
            self.question.append(f"{name} {verb} {daily} {things} every day for {days} days.")
            self.answer.append(f"In {days} days {name} gets {daily}*{days}={self.count} {things}.")
        else:
            first, more = self.random.randint(4, 40), self.random.randint(2, 30)
            self.count = first + more
            self.question.append(f"{self.other} has {first} {things}. {name} has {more} more {things} than {self.other}.")
            self.answer.append(f"{name} has {first}+{more}={self.count} {things}.")

    def event(self):
        name, other, before = self.name, self.other, self.count
        kinds = ["buy", "bring"]
        if before <= 150:
            kinds.append("double")
        if before > 2:
            kinds += ["give", "lose"]
        if before % 2 == 0:
            kinds.append("half")
        kind = self.random.choice(kinds)
        if kind == "double":
            self.count = before * 2
            self.question.append(f"Then {name} doubles the number of {self.things}.")
            self.answer.append(f"Doubled, that is {before}*2={self.count}.")
        elif kind == "buy":
            more = self.random.randint(2, 40)
            self.count = before + more
            self.question.append(f"{name} buys {more} more.")
            self.answer.append(f"After buying {more} more, {name} has {before}+{more}={self.count}.")
        elif kind == "bring":
            holders, holder, each = self.held(most_each=9)
            self.count = before + holders * each
            self.question.append(f"{other} brings {name} {holders} {holder} with {each} {self.things} in each.")
            self.answer.append(f"{other} brings {holders}*{each}={holders * each}.")
            self.answer.append(f"Now {name} has {before}+{holders * each}={self.count}.")
        elif kind == "half":
            half = self.count = before // 2
            self.question.append(f"{name} gives half of them to {other}.")
            self.answer.append(f"Half of them is {before}/2={half}, so {name} keeps {before}-{half}={half}.")
        else:
            gone = self.random.randint(1, before - 1)
            self.count = before - gone
            self.question.append(f"{name} gives {gone} to {other}." if kind == "give" else f"{name} loses {gone} of them.")
            gone = f"giving {gone} away" if kind == "give" else f"losing {gone}"
            self.answer.append(f"After {gone}, {name} has {before}-{before - self.count}={self.count}.")

    def close(self):
        before, draw = self.count, self.random.random()
        friends = [friends for friends in range(2, 9) if before % friends == 0]
        if draw < 0.12 and before <= 60:
            price = self.random.randint(2, 9)
            self.count = before * price
            self.question.append(f"{self.name} sells all of them for {price} dollars each.")
            self.question.append(f"How many dollars does {self.name} get?")
            self.answer.append(f"{self.name} gets {before}*{price}={self.count} dollars.")
        elif draw < 0.35 and friends:
            friends = self.random.choice(friends)
            self.count = before // friends
            self.question.append(f"{self.name} shares all of them equally among {friends} friends.")
            self.question.append(f"How many {self.things} does each friend get?")
            self.answer.append(f"Each friend gets {before}/{friends}={self.count}.")
        else:
            self.question.append(f"How many {self.things} does {self.name} have now?")


def problem(generator):
    story = Story(generator)
    story.open()
    for _ in range(generator.randint(1, 3)):
        story.event()
    story.close()
    return {"question": " ".join(story.question), "answer": " ".join(story.answer) + f" #### {story.count}"}


def problems(seed, without, make=problem):
    """Problems without end, none twice and none of the questions in `without`."""
    generator, seen = random.Random(seed), set(without)
    while True:
        made = make(generator)
        if made["question"] not in seen:
            seen.add(made["question"])
            yield made


def questions(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line)["question"] for line in lines]


def main(description, make):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seed", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--without", type=pathlib.Path, action="append", default=[])
    arguments = parser.parse_args()
    without = (question for path in arguments.without for question in questions(path))
    for made in itertools.islice(problems(arguments.seed, without, make), arguments.count):
        print(json.dumps(made))


if __name__ == "__main__":
    main(__doc__, problem)
