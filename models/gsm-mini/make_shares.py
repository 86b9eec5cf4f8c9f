#!/usr/bin/env python3
"""Word problems of a kind that GSM-mini has never seen: things are shared equally, and the rest is asked for.

    make_shares.py SEED COUNT [--without FILE] >FILE.jsonl

Same style, names and form as train.jsonl. The same seed writes the same problems; no problem comes twice, and none that the
other file has, so that a test set has nothing in common with its training set."""

import argparse
import json
import pathlib
import random

NAMES = ["Amir", "Anna", "David", "Emma", "Henry", "Iris", "Kate", "Olga", "Rosa", "Tina", "Zoe"]
THINGS = ["apples", "books", "candles", "coins", "kites", "oranges", "shells", "stamps"]


def problem(random):
    name = random.choice(NAMES)
    things = random.choice(THINGS)
    friends = random.randint(3, 9)
    count = random.randint(friends + 1, 9 * friends + friends - 1)
    kind = random.randrange(3)
    if kind == 0:
        question = [f"{name} has {count} {things}."]
        answer = []
    elif kind == 1:
        more = random.randint(2, count - 2)
        question = [f"{name} has {count - more} {things}.", f"{name} buys {more} more."]
        answer = [f"After buying {more} more, {name} has {count - more}+{more}={count}."]
    else:
        given = random.randint(2, 30)
        question = [f"{name} has {count + given} {things}.", f"{name} gives away {given}."]
        answer = [f"After giving {given} away, {name} has {count + given}-{given}={count}."]
    share = count // friends
    rest = count - share * friends
    question += [
        f"{name} shares them equally among {friends} friends and keeps the rest.",
        f"How many {things} does {name} keep?",
    ]
    answer += [
        f"Each friend gets {share} {things}, together {friends}*{share}={friends * share}.",
        f"{name} keeps {count}-{friends * share}={rest}.",
        f"#### {rest}",
    ]
    return {"question": " ".join(question), "answer": " ".join(answer)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seed", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--without", type=pathlib.Path)
    arguments = parser.parse_args()
    seen = set()
    if arguments.without:
        seen = {json.loads(line)["question"] for line in arguments.without.read_text().splitlines()}
    generator = random.Random(arguments.seed)
    written = 0
    while written < arguments.count:
        made = problem(generator)
        if made["question"] not in seen:
            seen.add(made["question"])
            print(json.dumps(made))
            written += 1


if __name__ == "__main__":
    main()
