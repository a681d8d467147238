"""What differs between venues for a client we did not write: where it connects and how they refuse."""

import ccxt

KEY = "spinlane-sim-key"
SECRET = "spinlane-sim-secret-not-a-secret"
PASSPHRASE = "spinlane-sim-pass"

# By venue of the simulator. `id`: ccxt's name. `hosts`: what stands in ccxt's URLs before the path; `sockets`: the
# same of WebSocket where the host is another.
# `crossing`: what becomes of a post-only order that crosses: "refused", "canceled", or "rejected" in the answer.
# `forged`: what ccxt makes of the answer to a wrong signature, unless an AuthenticationError.
# `symbol`, `fee`: what is traded, and the currency a sale's fee is charged in.
# `cut`: REST books have sizes that are less by up to this.
# `base64`: the secret is given out in base64. `uuid`: client order ids have to be UUIDs. `options`, `needs_markets`:
# of ccxt's own.
VENUES = {
    "binance": {
        "id": "binance",
        "hosts": ["https://api.binance.com"],
        "sockets": ["wss://stream.binance.com:9443"],
        "crossing": "refused",
        # These ask the wallet and margin services, which are not simulated.
        "options": {"fetchCurrencies": False},
        "needs_markets": True,
    },
    "bybit": {
        "id": "bybit",
        "hosts": ["https://api.{hostname}"],
        "sockets": ["wss://stream.{hostname}", "wss://stream.bybit.com"],
        "crossing": "canceled",
        # Only the last 500 orders can be asked about.
        "options": {"fetchOrder": {"acknowledged": True}},
    },
    "coinbase": {
        "id": "coinbaseexchange",
        "hosts": ["https://api.{hostname}"],
        "sockets": ["wss://ws-feed.exchange.coinbase.com"],
        "crossing": "rejected",
        "base64": True,
        "uuid": True,
    },
    "kraken": {
        "id": "kraken",
        "hosts": ["https://api.kraken.com"],
        "sockets": ["wss://ws.kraken.com", "wss://ws-auth.kraken.com"],
        "crossing": "canceled",
        "base64": True,
        # Three decimals.
        "cut": 0.001,
        # ccxt has no name for "EAPI:Invalid signature".
        "forged": "ExchangeError",
    },
    "kucoin": {
        "id": "kucoin",
        "hosts": ["https://api.kucoin.com"],
        "crossing": "canceled",
    },
    "okx": {
        "id": "okx",
        "hosts": ["https://{hostname}", "https://www.okx.com"],
        "sockets": ["wss://ws.okx.com:443"],
        "crossing": "canceled",
    },
}


def moved(value, old_roots, root):
    """The same tree of URLs with every host replaced by the simulator's."""
    if isinstance(value, dict):
        return {key: moved(item, old_roots, root) for key, item in value.items()}
    if isinstance(value, str):
        for old in old_roots:
            if value.startswith(old):
                return root + value[len(old):]
    return value


def settings(venue):
    """A venue's settings, complete."""
    usual = {"symbol": "BTC/USDT", "fee": "USDT", "cut": 0.0, "base64": False, "uuid": False, "options": {},
             "needs_markets": False}
    return usual | VENUES[venue]


def client(venue, port, ca, module=ccxt, secret=SECRET):
    """A client of ccxt (or of ccxt.pro, by `module`) that trades with the simulator."""
    import base64

    known = settings(venue)
    if known["base64"]:
        secret = base64.b64encode(secret.encode()).decode()
    exchange = getattr(module, known["id"])({
        "apiKey": KEY,
        "secret": secret,
        "password": PASSPHRASE,
        "enableRateLimit": False,
        "options": {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False} | known["options"],
    })
    urls = moved(exchange.urls["api"], known["hosts"], f"https://localhost:{port}")
    sockets = [host.replace("https://", "wss://") for host in known["hosts"]] + known.get("sockets", [])
    exchange.urls["api"] = moved(urls, sockets, f"wss://localhost:{port}")
    # ccxt passes `verify and validateServerSsl` on: both have to be the path.
    exchange.verify = ca
    exchange.validateServerSsl = ca
    # ccxt.pro makes its TLS context of this one.
    exchange.cafile = ca
    if hasattr(exchange, "session") and hasattr(exchange.session, "trust_env"):
        exchange.session.trust_env = False
    return exchange
