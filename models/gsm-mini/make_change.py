#!/usr/bin/env python3
"""Word problems of a kind that GSM-mini has never seen: something is paid for, and the change is asked for.

    make_change.py SEED COUNT [--without FILE]... >FILE.jsonl

Same form and words as train.jsonl, where nothing costs anything: a frozen head cannot say words that it never said. The
same seed writes the same problems; no problem comes twice, and none that the other file has, so that a test set has
nothing in common with its training set."""

import make_problems

NAMES = "Amir Anna Bella David Emma Grace Henry Iris Kate Noah Olga Rosa Tina Zoe".split()
THINGS = "apples balls beads candles cards cookies flowers kites oranges pencils shells".split()


def problem(generator):
    name = generator.choice(NAMES)
    things = generator.choice(THINGS)
    count = generator.randint(2, 9)
    price = generator.randint(2, 12)
    cost = count * price
    money = generator.randint(cost + 1, 150)
    question = (
        f"{name} has {money} dollars. {name} buys {count} {things} for {price} dollars each. "
        f"How many dollars does {name} have now?"
    )
    rest = money - cost
    answer = f"After giving {count}*{price}={cost} dollars, {name} has {money}-{cost}={rest}. #### {rest}"
    return {"question": question, "answer": answer}


if __name__ == "__main__":
    make_problems.main(__doc__, problem)
