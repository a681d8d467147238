#!/usr/bin/env python3
"""One FIX session of QuickFIX, an engine we did not write, driven by lines.

    peer.py acceptor|initiator PORT DIR

Prints one JSON object a line: {"told": "ready" | "logon" | "logout" | "app" | "admin" | "sent" | "did", ...}. Reads
commands, one a line, and tells when each is done:

    report ID     an ExecutionReport for the order ID
    order ID      a NewOrderSingle
    skip N        the next N numbers are never used
    logout        log out
    stop          end
"""

import json
import pathlib
import sys
import threading

import quickfix as fix

SETTINGS = """[DEFAULT]
ConnectionType={role}
ReconnectInterval=1
FileStorePath={dir}/store
FileLogPath={dir}/log
StartTime=00:00:00
EndTime=00:00:00
UseDataDictionary=N
PersistMessages=Y
HeartBtInt=30
SocketNodelay=Y
CheckLatency=Y
ResetOnLogon=N
[SESSION]
BeginString=FIX.4.4
SenderCompID={sender}
TargetCompID={target}
{place}
"""
lock = threading.Lock()


def tell(**what):
    with lock:
        print(json.dumps(what), flush=True)


def field(message, tag):
    return message.getField(tag) if message.isSetField(tag) else None


def head(message, tag):
    header = message.getHeader()
    return header.getField(tag) if header.isSetField(tag) else None


class App(fix.Application):
    session = None

    def onCreate(self, session):
        self.session = session

    def onLogon(self, session):
        tell(told="logon")

    def onLogout(self, session):
        tell(told="logout")

    def toAdmin(self, message, session):
        tell(told="sent", kind=head(message, 35), text=field(message, 58))

    def fromAdmin(self, message, session):
        tell(told="admin", kind=head(message, 35), begin=field(message, 7), fill=field(message, 123))

    def toApp(self, message, session):
        pass

    def fromApp(self, message, session):
        tell(told="app", kind=head(message, 35), id=field(message, 11), again=head(message, 43))


def main():
    role, port, folder = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
    is_acceptor = role == "acceptor"
    place = f"SocketAcceptPort={port}" if is_acceptor else f"SocketConnectHost=127.0.0.1\nSocketConnectPort={port}"
    text = SETTINGS.format(
        role=role,
        dir=folder,
        sender="VENUE" if is_acceptor else "US",
        target="US" if is_acceptor else "VENUE",
        place=place,
    )
    path = folder / f"{role}.cfg"
    path.write_text(text)
    app = App()
    settings = fix.SessionSettings(str(path))
    kind = fix.SocketAcceptor if is_acceptor else fix.SocketInitiator
    engine = kind(app, fix.FileStoreFactory(settings), settings, fix.FileLogFactory(settings))
    engine.start()
    tell(told="ready")
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        session = fix.Session.lookupSession(app.session)
        if word in ("report", "order"):
            message = fix.Message()
            message.getHeader().setField(fix.MsgType("8" if word == "report" else "D"))
            message.setField(fix.ClOrdID(rest))
            if word == "report":
                message.setField(fix.ExecType("0"))
            else:
                message.setField(fix.Symbol("BTC-USD"))
            fix.Session.sendToTarget(message, app.session)
        elif word == "skip":
            session.setNextSenderMsgSeqNum(session.getExpectedSenderNum() + int(rest))
        elif word == "logout":
            session.logout()
        elif word == "stop":
            break
        tell(told="did", kind=word)
    engine.stop(True)


main()
