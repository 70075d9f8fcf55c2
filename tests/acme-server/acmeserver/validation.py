# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Validation: http-01 and dns-01 as Let's Encrypt's validator does them.

http-01: GET on the configured port with `Host:` the name; at most 10 redirects, of 301,
302, 307 and 308, to http or https on ports 80 and 443 (which stand for the configured
ones); status 200; a body of less than 128 bytes, whose trailing white space doesn't count.
Names are looked up at the configured resolver; without one they are all at one address.
dns-01: TXT records of _acme-challenge.NAME at the resolver.

Returns None, or the problem document of the challenge, in Let's Encrypt's words.
"""

import asyncio
import hashlib
import ssl
import urllib.parse

import aiohttp
import aiohttp.abc
import dns.asyncresolver
import dns.exception
import dns.resolver

from . import jws
from .problems import PREFIX

REDIRECTS, REDIRECTS_MOST = (301, 302, 307, 308), 10
BODY_MOST = 128
TIME_LIMIT_S = 10


class Failed(Exception):
    def __init__(self, kind, detail):
        super().__init__(detail)
        self.kind = kind


class Resolver(aiohttp.abc.AbstractResolver):
    """`server`: ADDRESS:PORT of a DNS server, or None: every name is at `address`."""

    def __init__(self, server=None, address="127.0.0.1"):
        self.address, self._dns = address, None
        if server:
            host, _, port = server.rpartition(":")
            self._dns = dns.asyncresolver.Resolver(configure=False)
            self._dns.nameservers, self._dns.port = [host], int(port)
            self._dns.lifetime = TIME_LIMIT_S

    async def texts(self, name):
        if self._dns is None:
            raise Failed("dns", f"DNS problem: there is no resolver to look up TXT for {name}")
        try:
            found = await self._dns.resolve(name, "TXT")
        except dns.exception.DNSException as error:
            raise Failed("dns", f"DNS problem: {type(error).__name__} looking up TXT for "
                         f"{name}") from None
        return [b"".join(one.strings).decode("latin-1") for one in found]

    async def addresses(self, name):
        """IPv6 first."""
        if self._dns is None:
            return [self.address]
        found, problem = [], "no addresses"
        for kind in ("AAAA", "A"):
            try:
                found += [one.address for one in await self._dns.resolve(name, kind)]
            except dns.resolver.NoAnswer:
                pass
            except dns.exception.DNSException as error:
                problem = type(error).__name__
        if not found:
            raise Failed("dns", f"DNS problem: {problem} looking up A for {name}")
        return found

    async def resolve(self, host, port=0, family=0):
        return [{"hostname": host, "host": one, "port": port, "proto": 0, "flags": 0,
                 "family": 10 if ":" in one else 2} for one in await self.addresses(host)]

    async def close(self):
        pass


class Validator:
    def __init__(self, http_port=80, https_port=443, resolver=None):
        self.http_port, self.https_port = http_port, https_port
        self.resolver = resolver or Resolver()

    async def validate(self, kind, identifier, token, thumbprint):
        answer = f"{token}.{thumbprint}"
        try:
            if kind == "dns-01":
                await self._dns_01(identifier["value"], answer)
            else:
                await self._http_01(identifier["value"], token, answer)
        except Failed as error:
            return {"type": PREFIX + error.kind, "detail": str(error),
                    "status": 400 if error.kind in ("connection", "dns") else 403}
        return None

    async def _dns_01(self, name, answer):
        wanted = jws.encode(hashlib.sha256(answer.encode()).digest())
        found = await self.resolver.texts(f"_acme-challenge.{name}")
        if wanted not in found:
            raise Failed("unauthorized", f"Incorrect TXT record {found[:1]} found at "
                         f"_acme-challenge.{name}")

    async def _http_01(self, name, token, answer):
        host = f"[{name}]" if ":" in name else name
        url = f"http://{host}/.well-known/acme-challenge/{token}"
        async with aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=self.resolver, force_close=True),
                timeout=aiohttp.ClientTimeout(total=TIME_LIMIT_S),
                headers={"User-Agent": "acme-server validation", "Accept": "*/*"}) as session:
            for _ in range(REDIRECTS_MOST + 1):
                status, body, target = await self._ask(session, url)
                if status not in REDIRECTS:
                    break
                url = self._redirected(url, target)
            else:
                raise Failed("connection", f"Fetching {url}: Too many redirects")
        if status != 200:
            raise Failed("unauthorized", f"Invalid response from {url}: {status}")
        got = body.decode("utf-8", "replace").rstrip()
        if got != answer:
            raise Failed("unauthorized", "The key authorization file from the server did not "
                         f"match this challenge. Expected {answer!r} (got {got!r})")

    @staticmethod
    def _redirected(url, target):
        new = urllib.parse.urlsplit(urllib.parse.urljoin(url, target or ""))
        default = {"http": 80, "https": 443}.get(new.scheme)
        if default is None or (new.port or default) not in (80, 443):
            raise Failed("connection", f"Fetching {target}: Invalid port or scheme in redirect "
                         "target. Only ports 80 and 443 are supported")
        return new.geturl()

    def _real(self, url):
        """The configured port in the place of 80 or 443; and the Host header."""
        parts = urllib.parse.urlsplit(url)
        port = self.http_port if parts.scheme == "http" else self.https_port
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return parts._replace(netloc=f"{host}:{port}").geturl(), host

    async def _ask(self, session, url):
        real, host = self._real(url)
        blind = ssl.create_default_context()
        blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
        try:
            async with session.get(real, headers={"Host": host}, ssl=blind,
                                   allow_redirects=False) as answer:
                body = await answer.content.read(BODY_MOST + 1)
                while len(body) <= BODY_MOST and not answer.content.at_eof():
                    body += await answer.content.read(BODY_MOST + 1)
                if len(body) > BODY_MOST:
                    raise Failed("unauthorized", f"Invalid response from {url}: its body is "
                                 f"longer than {BODY_MOST} bytes")
                return answer.status, body, answer.headers.get("Location")
        except asyncio.TimeoutError:
            raise Failed("connection", f"Fetching {url}: Timeout during connect (likely "
                         "firewall problem)") from None
        except aiohttp.ClientConnectorError as error:
            refused = isinstance(error.os_error, ConnectionRefusedError)
            raise Failed("connection", f"Fetching {url}: "
                         f"{'Connection refused' if refused else error}") from None
        except (aiohttp.ClientError, ValueError) as error:
            raise Failed("connection", f"Fetching {url}: {error}") from None
