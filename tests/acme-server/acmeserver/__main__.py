# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""acme-server: see its README."""

import argparse
import asyncio
import logging
import signal
import sys

from aiohttp import web

from .clock import Clock
from .control import Control
from .limits import LETS_ENCRYPT
from .server import KINDS, Server, own_tls
from .validation import Resolver, Validator
from .world import World


def place(text):
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no ADDRESS:PORT")
    return host.strip("[]"), int(port)


def arguments(argv):
    parser = argparse.ArgumentParser(
        prog="acme-server", description="A strict, scripted ACME server for tests of clients.")
    parser.add_argument("--listen", type=place, default=("127.0.0.1", 14000),
                        metavar="ADDRESS:PORT", help="HTTPS for clients (%(default)s)")
    parser.add_argument("--name", default="localhost", help="host in addresses (%(default)s)")
    parser.add_argument("--control", type=place, metavar="ADDRESS:PORT",
                        help="HTTP for tests (none)")
    parser.add_argument("--root-file", required=True, metavar="FILE",
                        help="written: the root of the server's HTTPS, which clients trust")
    parser.add_argument("--http-port", type=int, default=80, metavar="PORT",
                        help="where http-01 is validated (%(default)s)")
    parser.add_argument("--https-port", type=int, default=443, metavar="PORT",
                        help="where a redirect to https leads (%(default)s)")
    parser.add_argument("--resolver", metavar="ADDRESS:PORT",
                        help="DNS server for names (none: all are at --address)")
    parser.add_argument("--address", default="127.0.0.1",
                        help="of all names, without a resolver (%(default)s)")
    parser.add_argument("--roots", type=int, default=1, metavar="N",
                        help="as many chains for each certificate (%(default)s)")
    parser.add_argument("--clock-offset-file", metavar="FILE",
                        help="holds a number of seconds by which the clock is ahead")
    parser.add_argument("--limits", choices=["letsencrypt", "none"], default="none",
                        help="rate limits (%(default)s)")
    parser.add_argument("--fault", action="append", default=[], metavar="TEXT",
                        help="a fault to begin with; may be given again")
    return parser.parse_args(argv)


async def serve(options):
    host, port = options.listen
    world = World(f"https://{options.name}:{port}", Clock(options.clock_offset_file),
                  Validator(options.http_port, options.https_port,
                            Resolver(options.resolver, options.address)), options.roots)
    if options.limits == "letsencrypt":
        world.limits.set(LETS_ENCRYPT)
    for text in options.fault:
        world.faults.add(text, KINDS)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, world.ended.set)
    places = [(Server(world).app, host, port, own_tls(options.root_file, options.name))]
    if options.control:
        places.insert(0, (Control(world).app, *options.control, None))
    for app, address, number, tls in places:
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, address, number, ssl_context=tls).start()
    print(f"acme-server: {world.url('directory')}", flush=True)
    await world.ended.wait()
    # No clean-up, which would wait for clients: all that is left is in memory.


def main(argv=None):
    # A client that goes away in the middle is what tests are made of.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    logging.getLogger("aiohttp.server").addHandler(logging.StreamHandler())
    try:
        asyncio.run(serve(arguments(argv)))
    except (OSError, ValueError) as error:
        sys.exit(f"acme-server: {error}")


if __name__ == "__main__":
    main()
