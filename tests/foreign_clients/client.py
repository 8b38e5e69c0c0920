"""Angel One's official client against the simulator.

Logs in, subscribes to tokens in SnapQuote mode, and prints as one JSON object what the client made of the answers.

    client.py REST_URL STREAM_URL NOW_SECONDS CLIENT_CODE MPIN TOTP_SECRET API_KEY FEED_SECONDS TOKEN[,TOKEN...]

Tokens are of NSE F&O. NOW_SECONDS is the simulated time, by which one-time passwords are made. The client stops when
every token has ticked, or after FEED_SECONDS.
"""

import json
import sys
import threading

import requests


class Loopback:
    """Answers the client's question for the public address, so that importing it reaches no outside host."""

    text = "127.0.0.1"
    content = b"127.0.0.1"
    status_code = 200

    def json(self):
        return {"ip": self.text}


def get_on_loopback_only(url, *args, **kwargs):
    if "://127.0.0.1" in url:
        return real_get(url, *args, **kwargs)
    return Loopback()


real_get = requests.get
requests.get = get_on_loopback_only

import urllib.request  # noqa: E402

urllib.request.urlopen = lambda *args, **kwargs: (_ for _ in ()).throw(OSError("no outside hosts in tests"))

import pyotp  # noqa: E402
from SmartApi import SmartConnect  # noqa: E402
from SmartApi.smartWebSocketV2 import SmartWebSocketV2  # noqa: E402


def main():
    rest_url, stream_url, now, client_code, mpin, secret, api_key, feed_seconds, tokens = sys.argv[1:]
    wanted = set(tokens.split(","))

    connect = SmartConnect(api_key=api_key, root=rest_url, disable_ssl=True)
    session = connect.generateSession(client_code, mpin, pyotp.TOTP(secret).at(int(now)))
    if not session["status"]:
        raise SystemExit(f"login refused: {session}")
    data = session["data"]
    quotes = connect.getMarketData("FULL", {"NFO": sorted(wanted)[:50]})

    SmartWebSocketV2.ROOT_URI = stream_url
    socket = SmartWebSocketV2(data["jwtToken"], api_key, client_code, data["feedToken"])
    ticks, errors = {}, []
    done = threading.Event()

    def on_open(_):
        socket.subscribe("official1", 3, [{"exchangeType": 2, "tokens": sorted(wanted)}])

    def on_data(_, tick):
        ticks[tick["token"]] = tick
        if wanted <= ticks.keys():
            done.set()

    socket.on_open = on_open
    socket.on_data = on_data
    socket.on_error = lambda *arguments: errors.append(repr(arguments))
    thread = threading.Thread(target=socket.connect, daemon=True)
    thread.start()
    done.wait(float(feed_seconds))
    json.dump({"quotes": quotes, "ticks": ticks, "errors": errors}, sys.stdout)
    sys.stdout.flush()
    # The client's own closing waits for its threads; the process has nothing left to do.
    import os

    os._exit(0)


main()
