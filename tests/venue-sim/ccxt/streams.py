#!/usr/bin/env python3
"""Keeps books from the simulator's streams with ccxt.pro, a client we did not write.

    streams.py --ready READY.json [--venue NAME]

Every venue at once: a streaming book of 200 updates at least, never crossed and always in order, with what ccxt
checks of sequence and checksum (Kraken's is off in ccxt 4.5.90, where it does not work); trades beside it. Then the
simulator's others stand still, and the book must be the one REST gives. Prints each step; a venue ends at its first
that fails, and the exit code is not zero then.
"""

import argparse
import asyncio
import json
import sys
import traceback
import urllib.request

import ccxt
import ccxt.pro

from venues import VENUES, client, settings

UPDATES = 200
TRADES = 5
# Levels compared a side: all that both have, of so many; and there must be some.
LEVELS, LEVELS_MIN = 20, 10
CALM_S = 5
PATIENCE_S = 300


class Failed(Exception):
    """A step that failed, and has been printed."""


class Steps:
    def __init__(self, venue):
        self.venue = venue
        self.count = 0

    def __call__(self, name, value, ok):
        self.count += 1
        print(f"{self.venue} {self.count:2} {'ok  ' if ok else 'FAIL'} {name}: {value}", flush=True)
        if not ok:
            raise Failed(name)


class Book:
    """A streaming book, looked at after every update."""

    def __init__(self, exchange, symbol):
        self.exchange, self.symbol = exchange, symbol
        self.updates, self.wrong = 0, None
        self.bids, self.asks = [], []

    async def keep(self):
        while True:
            book = await self.exchange.watch_order_book(self.symbol)
            self.updates += 1
            self.bids = [tuple(level[:2]) for level in book["bids"]]
            self.asks = [tuple(level[:2]) for level in book["asks"]]
            self.wrong = self.wrong or self.flaw()

    def flaw(self):
        """What is wrong with the book as it is, if anything."""
        bids, asks = [price for price, _ in self.bids], [price for price, _ in self.asks]
        if not bids or not asks:
            return "a side is empty"
        if bids[0] >= asks[0]:
            return f"crossed: {bids[0]} {asks[0]}"
        if bids != sorted(set(bids), reverse=True) or asks != sorted(set(asks)):
            return "levels are out of order"
        if any(size <= 0 for _, size in self.bids + self.asks):
            return "a level without size"
        return None

    def difference(self, rest, cut):
        """Where it is not the book of REST, if anywhere; sizes there may be less by up to `cut`."""
        for side, own in (("bids", self.bids), ("asks", self.asks)):
            pairs = list(zip(own[:LEVELS], rest[side]))
            if len(pairs) < LEVELS_MIN:
                return f"{side}: {len(own)} levels and {len(rest[side])}"
            for (price, size), (their_price, their_size, *_) in pairs:
                if price != their_price or not their_size <= size <= their_size + cut:
                    return f"{side}: {size} at {price} is not {their_size} at {their_price}"
        return None


async def keep_trades(exchange, symbol, seen):
    while True:
        for trade in await exchange.watch_trades(symbol):
            seen[trade["id"]] = trade


async def until(is_so, *tasks):
    """Waits until something is so; a task that ends in an error ends the wait with it."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while not is_so() and asyncio.get_running_loop().time() < deadline:
        for task in tasks:
            if task.done():
                task.result()
        await asyncio.sleep(0.02)


def calm(admin, venue):
    text = f"calm:venue={venue}:for={CALM_S}s".encode()
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        f"http://127.0.0.1:{admin}/fault", text, timeout=10
    )


async def watch(venue, port, ca, admin):
    step = Steps(venue)
    known = settings(venue)
    symbol = known["symbol"]
    exchange = client(venue, port, ca, ccxt.pro)
    tasks = []
    try:
        await exchange.load_markets()
        book, trades = Book(exchange, symbol), {}
        tasks = [
            asyncio.create_task(book.keep()),
            asyncio.create_task(keep_trades(exchange, symbol, trades)),
        ]
        await until(lambda: book.updates >= UPDATES and len(trades) >= TRADES, *tasks)
        step("watch_order_book", f"{book.updates} updates", book.updates >= UPDATES)
        step("never crossed, always in order", book.wrong, book.wrong is None)
        whole = all(t["price"] > 0 and t["amount"] > 0 and t["side"] in ("buy", "sell") for t in trades.values())
        step("watch_trades", f"{len(trades)} trades", len(trades) >= TRADES and whole)
        calm(admin, venue)
        # What was on its way arrives; asked again, since it may not have.
        difference = "not asked"
        for _ in range(10):
            await asyncio.sleep(0.3)
            difference = book.difference(await exchange.fetch_order_book(symbol), known["cut"])
            if difference is None:
                break
        step("the book of REST", difference, difference is None)
        print(f"{venue}: {step.count} checks of streams passed", flush=True)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await exchange.close()


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ready", required=True)
    parser.add_argument("--venue", action="append", choices=sorted(VENUES))
    args = parser.parse_args()
    with open(args.ready, encoding="utf-8") as file:
        ready = json.load(file)
    print(f"ccxt {ccxt.__version__}")
    ends = await asyncio.gather(*(
        watch(venue, ready["venues"][venue]["port"], ready["ca"], ready["admin"]["port"])
        for venue in args.venue or sorted(ready["venues"])
    ), return_exceptions=True)
    for error in (end for end in ends if end is not None):
        if not isinstance(error, Failed):
            traceback.print_exception(error)
    sys.exit(any(end is not None for end in ends))


if __name__ == "__main__":
    asyncio.run(main())
