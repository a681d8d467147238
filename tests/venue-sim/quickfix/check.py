#!/usr/bin/env python3
"""QuickFIX, an engine we did not write, trades at the simulator: `check.py --ready READY.json DIR`.

QuickFIX of PyPI has no TLS: a relay of a few lines puts it on, and trusts the simulator's authority only. The gateway keeps numbers and sends again what was missed; Coinbase signs its logon and restarts each time. The
gateway's market data is read by QuickFIX's own dictionary of FIX 4.4, and its changes make the book that a snapshot shows.
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import pathlib
import queue
import ssl
import sys
import threading
import time
import urllib.request

import quickfix as fix
import quickfix44 as fix44

PATIENCE_S = 20
KEY, SECRET, PASSPHRASE = "spinlane-sim-key", b"spinlane-sim-secret-not-a-secret", "spinlane-sim-pass"
SETTINGS = """[DEFAULT]
ConnectionType=initiator
ReconnectInterval=1
FileStorePath={dir}/store
FileLogPath={dir}/log
StartTime=00:00:00
EndTime=00:00:00
UseDataDictionary=N
PersistMessages=Y
HeartBtInt=30
CheckLatency=Y
ResetOnLogon={resets}
SocketConnectHost=127.0.0.1
SocketConnectPort={port}
[SESSION]
BeginString={begin}
SenderCompID={us}
TargetCompID={them}
{more}
"""


def field(message, tag):
    return message.getField(tag) if message.isSetField(tag) else None


def head(message, tag):
    header = message.getHeader()
    return header.getField(tag) if header.isSetField(tag) else None


def entries(message, kind):
    """The entries of a message of market data, as QuickFIX parts them."""
    of = fix44.MarketDataSnapshotFullRefresh if kind == "W" else fix44.MarketDataIncrementalRefresh
    group, told = of.NoMDEntries(), []
    for at in range(1, int(field(message, 268)) + 1):
        message.getGroup(at, group)
        told.append({tag: field(group, tag) for tag in (269, 270, 271, 279)})
    return told


async def pump(reader, writer):
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()


def relay(port, ca):
    """A plain port whose connections go on to `port` over TLS."""
    trust = ssl.create_default_context(cafile=ca)
    told = queue.Queue()

    async def serve(reader, writer):
        there = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname="localhost")
        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))

    async def run():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        told.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    threading.Thread(target=lambda: asyncio.run(run()), daemon=True).start()
    return told.get(timeout=PATIENCE_S)


class App(fix.Application):
    """Puts what happens into a queue; signs logons with `sign`."""

    def __init__(self, sign):
        super().__init__()
        self.sign, self.session, self.told = sign, None, queue.Queue()

    def onCreate(self, session):
        self.session = session

    def onLogon(self, session):
        self.told.put(("logon", {}))

    def onLogout(self, session):
        self.told.put(("logout", {}))

    def toAdmin(self, message, session):
        kind = head(message, 35)
        if kind == "A":
            self.sign(message)
        self.told.put(("sent " + kind, {}))

    def fromAdmin(self, message, session):
        tags = {tag: field(message, tag) for tag in (7, 16, 36, 58, 123)}
        self.told.put(("admin " + head(message, 35), tags))

    def toApp(self, message, session):
        pass

    def fromApp(self, message, session):
        kind = head(message, 35)
        tags = {tag: field(message, tag) for tag in (11, 39, 41, 58, 150, 262)}
        if kind in ("W", "X"):
            tags["entries"] = entries(message, kind)
        self.told.put(("app " + kind, tags | {43: head(message, 43)}))

    def wait(self, kind):
        """The next of a kind; what came before it is passed over."""
        end, seen = time.monotonic() + PATIENCE_S, []
        while True:
            try:
                told = self.told.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise SystemExit(f"never told {kind}; told: {seen}") from None
            if told[0] == kind:
                return told[1]
            seen.append(told)


class Engine:
    def __init__(self, ready, folder, venue, sign, **settings):
        folder = pathlib.Path(folder) / f"{venue} {settings['us']}"
        folder.mkdir(parents=True)
        port = relay(ready["venues"][venue]["fix"], ready["ca"])
        text = SETTINGS.format(dir=folder, port=port, **settings)
        path = folder / "initiator.cfg"
        path.write_text(text)
        self.app = App(sign)
        self.settings = fix.SessionSettings(str(path))
        self.stores = fix.FileStoreFactory(self.settings)
        self.logs = fix.FileLogFactory(self.settings)
        self.engine = fix.SocketInitiator(self.app, self.stores, self.settings, self.logs)
        self.engine.start()

    def send(self, kind, *pairs):
        message = fix.Message()
        message.getHeader().setField(fix.MsgType(kind))
        for tag, value in pairs:
            message.setField(tag, value)
        fix.Session.sendToTarget(message, self.app.session)

    def skip(self, count):
        session = fix.Session.lookupSession(self.app.session)
        session.setNextSenderMsgSeqNum(session.getExpectedSenderNum() + count)

    def log_out(self):
        fix.Session.lookupSession(self.app.session).logout()

    def log_on(self):
        fix.Session.lookupSession(self.app.session).logon()

    def stop(self):
        self.engine.stop(True)


class Checks:
    count = 0

    def same(self, got, wanted):
        if got != wanted:
            raise SystemExit(f"got {got}, wanted {wanted}")
        self.count += 1


def order(symbol, price, name):
    size = "1000" if "/" in symbol else "0.01"
    return ((11, name), (55, symbol), (54, "1"), (38, size), (40, "2"), (44, price), (59, "1"))


def gateway(ready, folder, check):
    fault_at = f"http://127.0.0.1:{ready['admin']['port']}/fault"

    def fault(text):
        urllib.request.urlopen(urllib.request.Request(fault_at, data=text.encode()), timeout=10).read()

    us = Engine(
        ready, folder, "yofx", lambda logon: logon.setField(554, PASSPHRASE),
        begin="FIX.4.4", us="SPINLANE", them="YOFX", resets="N", more="",
    )
    us.app.wait("logon")
    us.send("D", *order("EUR/USD", "1.0", "o1"))
    got = us.app.wait("app 8")
    check.same((got[11], got[150], got[39]), ("o1", "0", "0"))
    # A report is lost; the next one shows it, and it comes again.
    fault("gap:venue=yofx:link=fix")
    us.send("D", *order("EUR/USD", "1.0", "o2"))
    us.send("D", *order("EUR/USD", "1.0", "o3"))
    us.app.wait("sent 2")
    got = us.app.wait("app 8")
    check.same((got[11], got[43]), ("o2", "Y"))
    check.same(us.app.wait("app 8")[11], "o3")
    # Numbers of ours that were never used: asked for, and filled.
    us.skip(3)
    us.send("D", *order("EUR/USD", "1.0", "o4"))
    check.same(us.app.wait("admin 2")[16], "0")
    check.same(us.app.wait("app 8")[11], "o4")
    # Cut in the middle; numbers go on where they were.
    fault("disconnect:venue=yofx:link=fix")
    us.app.wait("logout")
    us.app.wait("logon")
    us.send("F", (11, "c1"), (41, "o1"), (55, "EUR/USD"), (54, "1"))
    got = us.app.wait("app 8")
    check.same((got[11], got[41], got[150]), ("c1", "o1", "4"))
    us.send("F", (11, "c2"), (41, "o1"), (55, "EUR/USD"), (54, "1"))
    check.same(us.app.wait("app 9")[58], "too late")
    us.log_out()
    us.app.wait("logout")
    us.stop()


def coinbase(ready, folder, check):
    def sign(logon):
        parts = [head(logon, 52), "A", head(logon, 34), KEY, "Coinbase", PASSPHRASE]
        signed = base64.b64encode(hmac.digest(SECRET, "\x01".join(parts).encode(), hashlib.sha256)).decode()
        for tag, value in ((553, KEY), (554, PASSPHRASE), (95, str(len(signed))), (96, signed)):
            logon.setField(tag, value)

    us = Engine(
        ready, folder, "coinbase", sign,
        begin="FIXT.1.1", us=KEY, them="Coinbase", resets="Y", more="DefaultApplVerID=FIX.5.0SP2",
    )
    us.app.wait("logon")
    name = "51de1a4e-0000-4000-8000-000000000001"
    us.send("D", *order("BTC-USDT", "60000", name))
    got = us.app.wait("app 8")
    check.same((got[11], got[150]), (name, "0"))
    us.log_out()
    us.app.wait("logout")
    us.log_on()
    us.app.wait("logon")
    us.send("H", (11, name), (55, "BTC-USDT"), (54, "1"))
    got = us.app.wait("app 8")
    check.same((got[11], got[150], got[39]), (name, "I", "0"))
    us.stop()


def market(ready, folder, check):
    dictionary = pathlib.Path(sys.prefix) / "share/quickfix/FIX44.xml"
    us = Engine(
        ready, folder, "yofx", lambda logon: logon.setField(554, PASSPHRASE), begin="FIX.4.4", us="SPINLANE-MD", them="YOFX",
        resets="N", more=f"UseDataDictionary=Y\nDataDictionary={dictionary}",
    )
    us.app.wait("logon")

    def ask(name, kind):
        request = fix44.MarketDataRequest()
        for tag, value in ((262, name), (263, kind), (264, "0"), (265, "1")):
            request.setField(tag, value)
        for wanted in ("0", "1"):
            types = fix44.MarketDataRequest.NoMDEntryTypes()
            types.setField(269, wanted)
            request.addGroup(types)
        symbols = fix44.MarketDataRequest.NoRelatedSym()
        symbols.setField(55, "EUR/USD")
        request.addGroup(symbols)
        fix.Session.sendToTarget(request, us.app.session)

    def levels(told):
        return {(entry[269], entry[270]): entry[271] for entry in told}

    ask("m1", "1")
    first = us.app.wait("app W")
    check.same((first[262], len(first["entries"]) > 2), ("m1", True))
    book, changes, is_asked = levels(first["entries"]), 0, False
    end = time.monotonic() + 2 * PATIENCE_S
    while True:
        kind, told = us.app.told.get(timeout=max(0.0, end - time.monotonic()))
        if kind == "app W":
            break
        if kind != "app X":
            continue
        for entry in told["entries"]:
            place = (entry[269], entry[270])
            # New where nothing was, changed or deleted where something is.
            if (place in book) != (entry[279] != "0"):
                raise SystemExit(f"{entry} of {book}")
            book.pop(place, None)
            if entry[279] != "2":
                book[place] = entry[271]
            changes += 1
        if changes >= 200 and not is_asked:
            ask("m2", "0")
            is_asked = True
    check.same((told[262], changes >= 200), ("m2", True))
    check.same(book, levels(told["entries"]))
    us.log_out()
    us.app.wait("logout")
    us.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ready", required=True)
    parser.add_argument("folder")
    args = parser.parse_args()
    ready = json.loads(pathlib.Path(args.ready).read_text())
    check = Checks()
    gateway(ready, args.folder, check)
    coinbase(ready, args.folder, check)
    market(ready, args.folder, check)
    print(f"quickfix: {check.count} checks passed", flush=True)


main()
