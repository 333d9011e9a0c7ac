# SPDX-License-Identifier: Apache-2.0
"""Odd requests of objects: each case is either refused by our checks, and the log names the object,
or taken by a real Envoy. What neither does is in REFUSED, a list that should stay short: docs/decisions/0011.

One contour and one Envoy for all cases, one after another; in each a host of another object must be sent as well.
"""
import functools
import re
import time

import pytest
from features_support import RefusingSite, ingress, ingress_route, metadata, route, text
from harness import der
from harness.client import Client
from harness.der import BIT_STRING, GENERALIZED_TIME, INTEGER, NULL, OCTET_STRING, PRINTABLE, SEQUENCE, UTC_TIME, UTF8

HOST = "case.example"


# ---- Certificates and keys -------------------------------------------------------------------------------------------

@functools.cache
def key(algorithm="EC", *options):
    defaults = {"EC": ("ec_paramgen_curve:P-256",), "RSA": ("rsa_keygen_bits:2048",)}
    return der.generate(algorithm, *(options or defaults.get(algorithm, ())))


def secret(certificate, private, kind="kubernetes.io/tls", **more):
    return text({"apiVersion": "v1", "kind": "Secret", "metadata": metadata("case"), "type": kind,
                 "stringData": {"tls.crt": certificate, "tls.key": private, **more}}) + "---\n"


@functools.cache
def leaf():
    return der.certificate(der.public_key(key()))


def of_key(public):
    return der.pem("CERTIFICATE", der.certificate(public))


def rsa_leaf():
    return der.certificate(der.public_key(key("RSA")))


def served(certificate, private):
    return secret(certificate, private) + ingress("case", HOST, [("/", "Prefix", "marker")], tls_secret="case")


def pair(private=None, **fields):
    """A host served with a certificate of these fields."""
    private = private or key()
    return served(der.pem("CERTIFICATE", der.certificate(der.public_key(private), **fields)), private)


def with_extension(*extensions, private=None):
    return pair(private, extensions=[der.alternative_names(HOST), *extensions])


def chain(*blocks):
    return with_certificate(der.pem("CERTIFICATE", leaf()) + "".join(blocks))


def trusted(*blocks):
    """A backend verified by this ca.crt."""
    service = {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 443}]},
               "metadata": metadata("upstream", {"contour.heptio.com/upstream-protocol.tls": "443"})}
    return text(service) + "---\n" + text(
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata("case"), "type": "Opaque",
         "stringData": {"ca.crt": "".join(blocks)}}) + "---\n" + text(
        {"apiVersion": "contour.heptio.com/v1beta1", "kind": "IngressRoute", "metadata": metadata("case"),
         "spec": {"virtualhost": {"fqdn": HOST}, "routes": [{"match": "/", "services": [
             {"name": "upstream", "port": 443, "validation": {"caSecret": "case", "subjectName": "upstream.example"}}]}]}}
    ) + "---\n"


def authority(**fields):
    fields.setdefault("extensions", [der.extension(der.BASIC_CONSTRAINTS, der.der(SEQUENCE, der.der(1, b"\xff")), True)])
    return der.pem("CERTIFICATE", der.certificate(der.public_key(key()), **fields))


def rsa_key(change):
    """The RSA key with some of its nine numbers changed; its modulus and public exponent are as in the certificate."""
    plain = der.openssl("pkey", "-traditional", stdin=key("RSA").encode()).decode()
    numbers = [int.from_bytes(content(entry), "big") for entry in der.elements(der.decode(plain))]
    names = ("version", "n", "e", "d", "p", "q", "dp", "dq", "qinv")
    values = dict(zip(names, numbers, strict=True))
    change(values)
    return der.pem("RSA PRIVATE KEY", der.der(SEQUENCE, *map(der.integer, values.values())))


def rsa_pair(change):
    return with_key(rsa_key(change), rsa_leaf())


def ec_key(scalar=None, point=None, parameters=True):
    """SEC1, of the key in the certificate as far as not given."""
    parts = der.elements(der.decode(der.openssl("pkey", "-traditional", stdin=key().encode()).decode()))
    public = der.elements(der.public_key(key()))[1]
    public = der.der(BIT_STRING, b"\0" + point) if point is not None else public
    scalar = der.der(OCTET_STRING, scalar) if scalar is not None else parts[1]
    curve = der.der(0xa0, der.oid(der.P256)) if parameters else b""
    return der.pem("EC PRIVATE KEY", der.der(SEQUENCE, der.integer(1), scalar, curve, der.der(0xa1, public)))


def ec_pair(**fields):
    return with_key(ec_key(**fields))


def own_exponent(exponent):
    private = key("RSA", "rsa_keygen_bits:2048", f"rsa_keygen_pubexp:{exponent}")
    return pair(private)


def compressed():
    private = der.openssl("ec", "-conv_form", "compressed", stdin=key().encode()).decode()
    public = der.openssl("ec", "-conv_form", "compressed", "-pubout", "-outform", "DER", stdin=key().encode())
    return with_key(private, der.certificate(public))


def other_algorithm(identifier, **fields):
    algorithm = der.der(SEQUENCE, der.oid(identifier), der.der(NULL))
    return pair(key("RSA"), algorithm=algorithm, **fields)


def indefinite(whole):
    """BER: the outermost sequence without a length."""
    return bytes([SEQUENCE, 0x80]) + content(whole) + b"\0\0"


SERVER_AUTH, CLIENT_AUTH = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"


def usages(*identifiers):
    return der.extension(der.EXTENDED_KEY_USAGE, der.der(SEQUENCE, *map(der.oid, identifiers)))


def with_key(private, certificate=None):
    return served(der.pem("CERTIFICATE", certificate or leaf()), private)


def with_certificate(pem):
    return served(pem, key())


def content(element):
    """Of a DER element."""
    return element[2:] if element[1] < 128 else element[2 + (element[1] & 127):]


def wrapped(private, version, more=b""):
    """The key as PKCS#8 of that version."""
    _, algorithm, octets = der.elements(der.decode(private))[:3]
    return der.pem("PRIVATE KEY", der.der(SEQUENCE, der.integer(version), algorithm, octets, more))


def with_header(pem, header="A: b"):
    return pem.replace("\n", f"\n{header}\n\n", 1)


ENCRYPTED = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00000000000000000000000000000000"


def wide(value):
    """The same with its length in more bytes than needed (BER, not DER)."""
    return bytes([value[0], 0x84]) + len(content(value)).to_bytes(4, "big") + content(value)


def nameless(*names):
    """A certificate without a subject, with these alternative names."""
    return pair(subject=der.der(SEQUENCE), extensions=[der.extension(der.SUBJECT_ALT_NAME, der.der(SEQUENCE, *names), True)])


# The public key of the private key 1.
GENERATOR_POINT = bytes.fromhex("04"
                                "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
                                "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
GENERATOR = der.der(SEQUENCE, der.der(SEQUENCE, der.oid(der.EC_KEY), der.oid(der.P256)),
                    der.der(BIT_STRING, b"\0" + GENERATOR_POINT))

CERTIFICATES = {
    "rsa-2048": lambda: pair(key("RSA")),
    "rsa-1024": lambda: pair(key("RSA", "rsa_keygen_bits:1024")),
    "rsa-2047": lambda: pair(key("RSA", "rsa_keygen_bits:2047")),
    "rsa-2049": lambda: pair(key("RSA", "rsa_keygen_bits:2049")),
    "rsa-exponent-3": lambda: own_exponent(3),
    "rsa-exponent-33-bits": lambda: own_exponent(2**33 - 9),
    "rsa-exponent-34-bits": lambda: own_exponent(2**33 + 17),
    "rsa-exponent-41-bits": lambda: own_exponent(1099511627791),
    "rsa-pss-key": lambda: pair(key("RSA-PSS", "rsa_keygen_bits:2048")),
    "rsa-3-primes": lambda: pair(key("RSA", "rsa_keygen_bits:2048", "rsa_keygen_primes:3")),
    "rsa-key-wrong-private-exponent": lambda: rsa_pair(lambda n: n.update(d=n["d"] + 2)),
    "rsa-key-private-exponent-0": lambda: rsa_pair(lambda n: n.update(d=0)),
    "rsa-key-wrong-dp": lambda: rsa_pair(lambda n: n.update(dp=n["dp"] + 2)),
    "rsa-key-wrong-qinv": lambda: rsa_pair(lambda n: n.update(qinv=n["qinv"] + 1)),
    "rsa-key-wrong-primes": lambda: rsa_pair(lambda n: n.update(p=n["p"] + 2)),
    "rsa-key-primes-swapped": lambda: rsa_pair(lambda n: n.update(p=n["q"], q=n["p"], dp=n["dq"], dq=n["dp"],
                                                                  qinv=pow(n["p"], -1, n["q"]))),
    "rsa-key-without-primes": lambda: rsa_pair(lambda n: n.update(p=0, q=0, dp=0, dq=0, qinv=0)),
    "rsa-key-version-1": lambda: rsa_pair(lambda n: n.update(version=1)),
    "rsa-key-big-private-exponent": lambda: rsa_pair(lambda n: n.update(d=n["d"] + (n["p"] - 1) * (n["q"] - 1))),
    "rsa-key-pkcs1": lambda: rsa_pair(lambda n: None),
    "ec-p224": lambda: pair(key("EC", "ec_paramgen_curve:P-224")),
    "ec-p384": lambda: pair(key("EC", "ec_paramgen_curve:P-384")),
    "ec-p521": lambda: pair(key("EC", "ec_paramgen_curve:P-521")),
    "ec-secp256k1": lambda: pair(key("EC", "ec_paramgen_curve:secp256k1")),
    "ec-brainpool": lambda: pair(key("EC", "ec_paramgen_curve:brainpoolP256r1")),
    "ec-explicit-curve": lambda: pair(key("EC", "ec_paramgen_curve:P-256", "ec_param_enc:explicit")),
    "ec-compressed-point": compressed,
    "ec-key-sec1": lambda: ec_pair(),
    "ec-key-without-curve": lambda: ec_pair(parameters=False),
    "ec-key-of-another-pair-with-our-point": lambda: ec_pair(scalar=b"\x11" * 32),
    "ec-key-scalar-0": lambda: ec_pair(scalar=b"\0" * 32),
    "ec-key-scalar-short": lambda: ec_pair(scalar=b"\x11"),
    "ec-key-scalar-too-big": lambda: ec_pair(scalar=b"\xff" * 32),
    "ed25519": lambda: pair(key("ED25519")),
    "ed448": lambda: pair(key("ED448")),
    "x25519": lambda: pair(key("X25519")),
    "pkcs8-version-1": lambda: with_key(wrapped(key(), 1)),
    "pkcs8-with-attributes": lambda: with_key(wrapped(key(), 0, der.der(0xa0, der.der(
        SEQUENCE, der.oid(der.KEY_USAGE), der.der(der.SET, der.der(BIT_STRING, b"\x07\x80")))))),
    "pkcs8-encrypted": lambda: with_key(der.openssl("pkcs8", "-topk8", "-passout", "pass:x", stdin=key().encode()).decode()),
    "pkcs1-encrypted": lambda: with_key(der.openssl("rsa", "-traditional", "-aes128", "-passout", "pass:x",
                                                    stdin=key("RSA").encode()).decode(), rsa_leaf()),
    "key-trailing-garbage-in-block": lambda: with_key(der.pem("PRIVATE KEY", der.decode(key()) + b"\0\0")),
    "key-headers-in-block": lambda: with_key(with_header(key())),
    "key-byte-order-mark": lambda: with_key("\ufeff" + key()),
    "ec-key-scalar-1": lambda: with_key(ec_key(b"\0" * 31 + b"\1", GENERATOR_POINT), der.certificate(GENERATOR)),
    "ec-key-scalar-written-short": lambda: with_key(ec_key(b"\1", GENERATOR_POINT), der.certificate(GENERATOR)),
    "ec-key-scalar-written-long": lambda: with_key(ec_key(b"\0" * 32 + b"\1", GENERATOR_POINT), der.certificate(GENERATOR)),
    "ed25519-pkcs8-version-1": lambda: with_key(
        wrapped(key("ED25519"), 1, der.der(0x81, b"\0" + der.public_key(key("ED25519"))[-32:])),
        der.certificate(der.public_key(key("ED25519")))),
    "rsa-key-labelled-rsa-but-pkcs8": lambda: with_key(der.pem("RSA PRIVATE KEY", der.decode(key("RSA"))), rsa_leaf()),
    "key-ber": lambda: with_key(der.pem("PRIVATE KEY", wide(der.decode(key())))),
    "key-indefinite-length": lambda: with_key(der.pem("PRIVATE KEY", indefinite(der.decode(key())))),
    "key-after-text": lambda: with_key("Bag Attributes\n  friendlyName: x\n" + key()),
    "key-with-parameters-before": lambda: with_key(der.pem("EC PARAMETERS", der.oid(der.P256)) + ec_key()),
    "key-with-certificate-before": lambda: with_key(der.pem("CERTIFICATE", leaf()) + key()),
    "key-windows-lines": lambda: with_key(key().replace("\n", "\r\n")),
    "key-in-one-line": lambda: with_key(der.pem("PRIVATE KEY", der.decode(key()), 10**6)),
    "key-of-type-any": lambda: with_key(der.pem("ANY PRIVATE KEY", der.decode(key()))),
    "key-labelled-rsa": lambda: with_key(der.pem("RSA PRIVATE KEY", der.decode(key()))),
    "key-labelled-ec-but-pkcs8": lambda: with_key(der.pem("EC PRIVATE KEY", der.decode(key()))),
    "key-labelled-ec-but-rsa": lambda: with_key(der.pem("EC PRIVATE KEY", der.decode(rsa_key(lambda n: None))), rsa_leaf()),
    "key-labelled-pkcs8-but-sec1": lambda: with_key(der.pem("PRIVATE KEY", der.decode(ec_key()))),
    "version-1": lambda: pair(version=None),
    "version-1-with-extensions": lambda: pair(version=None, extensions=[der.alternative_names(HOST)]),
    "version-1-written": lambda: pair(version=0),
    "version-2": lambda: pair(version=1),
    "version-2-with-extensions": lambda: pair(version=1, extensions=[der.alternative_names(HOST)]),
    "version-4": lambda: pair(version=3),
    "version-negative": lambda: pair(version=-1),
    "serial-negative": lambda: pair(serial=b"\xff\x01"),
    "serial-0": lambda: pair(serial=b"\0"),
    "serial-empty": lambda: pair(serial=b""),
    "serial-padded": lambda: pair(serial=b"\0\x01"),
    "serial-40-bytes": lambda: pair(serial=b"\x01" * 40),
    "not-before-month-13": lambda: pair(not_before=(UTC_TIME, b"251301000000Z")),
    "not-before-february-30": lambda: pair(not_before=(UTC_TIME, b"250230000000Z")),
    "not-before-without-seconds": lambda: pair(not_before=(UTC_TIME, b"2501010000Z")),
    "not-before-with-zone": lambda: pair(not_before=(UTC_TIME, b"250101000000+0100")),
    "not-before-fractional": lambda: pair(not_before=(GENERALIZED_TIME, b"20250101000000.5Z")),
    "not-before-generalized-before-2050": lambda: pair(not_before=(GENERALIZED_TIME, b"20250101000000Z")),
    "not-before-no-time": lambda: pair(not_before=(UTC_TIME, b"garbage")),
    "not-before-empty": lambda: pair(not_before=(UTC_TIME, b"")),
    "not-before-of-a-string-type": lambda: pair(not_before=(UTF8, b"250101000000Z")),
    "not-after-without-seconds": lambda: pair(not_after=(UTC_TIME, b"4501010000Z")),
    "not-after-with-zone": lambda: pair(not_after=(UTC_TIME, b"450101000000+0100")),
    "not-after-fractional": lambda: pair(not_after=(GENERALIZED_TIME, b"20550101000000.5Z")),
    "not-after-9999": lambda: pair(not_after=(GENERALIZED_TIME, b"99991231235959Z")),
    "not-after-year-0": lambda: pair(not_after=(GENERALIZED_TIME, b"00000101000000Z")),
    "expired": lambda: pair(not_before=(UTC_TIME, b"100101000000Z"), not_after=(UTC_TIME, b"110101000000Z")),
    "not-yet-valid": lambda: pair(not_before=(UTC_TIME, b"440101000000Z")),
    "subject-empty": lambda: pair(subject=der.der(SEQUENCE)),
    "subject-invalid-utf8": lambda: pair(subject=der.name(b"\xff\xfe")),
    "subject-not-printable": lambda: pair(subject=der.name(b"a*@_\x01", PRINTABLE)),
    "subject-odd-universal-string": lambda: pair(subject=der.name(b"abc", 28)),
    "subject-odd-bmp-string": lambda: pair(subject=der.name(b"abc", 30)),
    "subject-of-type-integer": lambda: pair(subject=der.name(b"\x01", INTEGER)),
    "subject-of-type-boolean": lambda: pair(subject=der.name(b"\x05", 1)),
    "subject-of-type-null": lambda: pair(subject=der.name(b"\x05", NULL)),
    "subject-70000-characters": lambda: pair(subject=der.name("a" * 70000)),
    "subject-900000-characters": lambda: pair(subject=der.name("a" * 900000)),
    "subject-empty-and-name": lambda: nameless(der.der(0x82, HOST.encode())),
    "subject-empty-and-address": lambda: nameless(der.der(0x87, b"\x7f\0\0\1")),
    "subject-empty-and-uri": lambda: nameless(der.der(0x86, b"spiffe://a/b")),
    "subject-empty-and-mail": lambda: nameless(der.der(0x81, b"a@b.example")),
    "subject-empty-and-id": lambda: nameless(der.der(0x88, b"\x2a\x03")),
    "subject-empty-and-other": lambda: nameless(der.der(0xa0, der.oid("1.2.3"), der.der(0xa0, der.der(UTF8, b"a")))),
    "subject-without-common-name": lambda: pair(subject=der.der(SEQUENCE, der.der(der.SET, der.der(
        SEQUENCE, der.oid("2.5.4.10"), der.der(UTF8, b"acme"))))),
    "subject-common-name-empty": lambda: pair(subject=der.name("")),
    "issuer-empty": lambda: pair(issuer=der.der(SEQUENCE)),
    "issuer-unique-id": lambda: pair(more=der.der(0x81, b"\0\x01")),
    "algorithms-differ": lambda: pair(outer_algorithm=der.der(SEQUENCE, der.oid(der.RSA_SHA256), der.der(NULL))),
    "algorithm-sha1": lambda: other_algorithm(der.RSA_SHA1),
    "algorithm-md5": lambda: other_algorithm(der.RSA_MD5),
    "algorithm-pss-without-parameters": lambda: other_algorithm(der.RSA_PSS),
    "algorithm-unknown": lambda: other_algorithm("1.2.3.4.5.6"),
    "signature-empty": lambda: pair(signature=b"\0"),
    "signature-odd-bits": lambda: pair(signature=b"\x03\xff"),
    "signature-no-bits": lambda: pair(signature=b""),
    "unknown-critical-extension": lambda: with_extension(der.extension("1.2.3.4.5", b"\x05\0", True)),
    "critical-false-written": lambda: with_extension(
        der.der(SEQUENCE, der.oid("1.2.3.4.5"), der.der(1, b"\0"), der.der(OCTET_STRING, b"\5\0"))),
    "critical-odd-boolean": lambda: with_extension(
        der.der(SEQUENCE, der.oid("1.2.3.4.5"), der.der(1, b"\1"), der.der(OCTET_STRING, b"\5\0"))),
    "duplicate-extension": lambda: with_extension(der.alternative_names(HOST)),
    "duplicate-key-usage": lambda: with_extension(der.key_usage(0), der.key_usage(0)),
    "extensions-empty": lambda: pair(more=der.der(0xa3, der.der(SEQUENCE))),
    "names-garbage": lambda: pair(extensions=[der.extension(der.SUBJECT_ALT_NAME, b"garbage")]),
    "names-empty": lambda: pair(extensions=[der.extension(der.SUBJECT_ALT_NAME, der.der(SEQUENCE))]),
    "names-with-nul": lambda: pair(extensions=[der.alternative_names("a.example\0.evil")]),
    "names-bad-ip": lambda: pair(extensions=[der.extension(der.SUBJECT_ALT_NAME, der.der(SEQUENCE, der.der(0x87, b"\1\2\3")))]),
    "names-20000": lambda: pair(extensions=[der.alternative_names(*(f"h{n}.example" for n in range(20000)))]),
    "usage-client-only": lambda: with_extension(usages(CLIENT_AUTH)),
    "usage-garbage": lambda: with_extension(der.extension(der.EXTENDED_KEY_USAGE, b"garbage")),
    "usage-empty": lambda: with_extension(der.extension(der.EXTENDED_KEY_USAGE, der.der(SEQUENCE))),
    "key-usage-ec-signing": lambda: with_extension(der.key_usage(0)),
    "key-usage-ec-agreement-only": lambda: with_extension(der.key_usage(4)),
    "key-usage-ec-authority-only": lambda: with_extension(der.key_usage(5, 6)),
    "key-usage-ec-empty": lambda: with_extension(der.extension(der.KEY_USAGE, der.der(BIT_STRING, b"\0"), True)),
    "key-usage-ec-zero-bits": lambda: with_extension(der.extension(der.KEY_USAGE, der.der(BIT_STRING, b"\0\0"), True)),
    "key-usage-garbage": lambda: with_extension(der.extension(der.KEY_USAGE, b"garbage", True)),
    "key-usage-rsa-encipherment-only": lambda: with_extension(der.key_usage(2), private=key("RSA")),
    "key-usage-rsa-authority-only": lambda: with_extension(der.key_usage(5, 6), private=key("RSA")),
    "key-usage-ed25519-authority-only": lambda: with_extension(der.key_usage(5, 6), private=key("ED25519")),
    "must-staple": lambda: with_extension(der.extension(der.TLS_FEATURE, der.der(SEQUENCE, der.integer(5)))),
    "must-staple-v2": lambda: with_extension(der.extension(der.TLS_FEATURE, der.der(SEQUENCE, der.integer(17)))),
    "must-staple-garbage": lambda: with_extension(der.extension(der.TLS_FEATURE, b"garbage")),
    "must-staple-trailing": lambda: with_extension(der.extension(der.TLS_FEATURE, der.der(SEQUENCE, der.integer(5)) + b"\0")),
    "constraints-authority": lambda: with_extension(
        der.extension(der.BASIC_CONSTRAINTS, der.der(SEQUENCE, der.der(1, b"\xff")), True)),
    "constraints-garbage": lambda: with_extension(der.extension(der.BASIC_CONSTRAINTS, b"garbage", True)),
    "trailing-garbage-in-block": lambda: with_certificate(der.pem("CERTIFICATE", leaf() + b"\0\0")),
    "trailing-element-in-certificate": lambda: with_certificate(
        der.pem("CERTIFICATE", der.der(SEQUENCE, *der.elements(leaf()), der.der(NULL)))),
    "ber-length": lambda: with_certificate(der.pem("CERTIFICATE", wide(leaf()))),
    "ber-length-inside": lambda: with_certificate(
        der.pem("CERTIFICATE", der.der(SEQUENCE, wide(der.elements(leaf())[0]), *der.elements(leaf())[1:]))),
    "indefinite-length": lambda: with_certificate(der.pem("CERTIFICATE", indefinite(leaf()))),
    "trusted-label": lambda: with_certificate(der.pem("TRUSTED CERTIFICATE", leaf())),
    "x509-label": lambda: with_certificate(der.pem("X509 CERTIFICATE", leaf())),
    "text-around": lambda: with_certificate("Subject: x\n" + der.pem("CERTIFICATE", leaf()) + "\nthe end\n"),
    "byte-order-mark": lambda: with_certificate("\ufeff" + der.pem("CERTIFICATE", leaf())),
    "windows-lines": lambda: with_certificate(der.pem("CERTIFICATE", leaf()).replace("\n", "\r\n")),
    "one-long-line": lambda: with_certificate(der.pem("CERTIFICATE", leaf(), 10**6)),
    "lines-of-one": lambda: with_certificate(der.pem("CERTIFICATE", leaf(), 1)),
    "indented": lambda: with_certificate(der.pem("CERTIFICATE", leaf()).replace("\n", "\n ")),
    "blank-lines-inside": lambda: with_certificate(der.pem("CERTIFICATE", leaf()).replace("\n", "\n\n")),
    "headers-in-block": lambda: with_certificate(with_header(der.pem("CERTIFICATE", leaf()))),
    "end-missing": lambda: with_certificate(der.pem("CERTIFICATE", leaf()).replace("-----END CERTIFICATE-----", "")),
    "chain-garbage-block": lambda: chain(der.pem("CERTIFICATE", b"garbage")),
    "chain-empty-block": lambda: chain("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"),
    "chain-half-block": lambda: chain("-----BEGIN CERTIFICATE-----\nMIIB\n"),
    "chain-bad-base64": lambda: chain("-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n"),
    "chain-leaf-twice": lambda: chain(der.pem("CERTIFICATE", leaf())),
    "chain-unrelated": lambda: chain(authority(subject=der.name("z"))),
    "chain-bad-version": lambda: chain(authority(version=3)),
    "chain-bad-time": lambda: chain(authority(not_before=(UTC_TIME, b"garbage"))),
    "chain-bad-key": lambda: chain(of_key(der.der(
        SEQUENCE, der.der(SEQUENCE, der.oid(der.EC_KEY), der.oid(der.P256)), der.der(BIT_STRING, b"\0\4abc")))),
    "chain-rsa-1024": lambda: chain(of_key(der.public_key(key("RSA", "rsa_keygen_bits:1024")))),
    "chain-ber-length": lambda: chain(der.pem("CERTIFICATE", wide(leaf()))),
    "chain-trailing-garbage": lambda: chain(der.pem("CERTIFICATE", leaf() + b"\0\0")),
    "chain-odd-signature": lambda: chain(authority(signature=b"\x03\xff")),
    "chain-without-subject": lambda: chain(authority(subject=der.der(SEQUENCE))),
    "chain-headers-in-block": lambda: chain(with_header(authority())),
    "chain-revocations": lambda: chain(der.pem("X509 CRL", b"garbage")),
    "chain-key": lambda: chain(key()),
    "chain-100": lambda: chain(*(authority(serial=bytes([1, n])) for n in range(100))),
    "chain-2000": lambda: chain(*(authority(serial=bytes([1, n // 256, n % 256])) for n in range(2000))),
    "trust-good": lambda: trusted(authority()),
    "trust-odd-signature": lambda: trusted(authority(signature=b"\x03\xff")),
    "trust-byte-order-mark": lambda: trusted("\ufeff", authority()),
    "trust-twice": lambda: trusted(authority(), authority()),
    "trust-one-bad": lambda: trusted(authority(), der.pem("CERTIFICATE", b"garbage")),
    "trust-leaf": lambda: trusted(der.pem("CERTIFICATE", leaf())),
    "trust-version-4": lambda: trusted(authority(version=3)),
    "trust-version-1-with-extensions": lambda: trusted(authority(version=None)),
    "trust-bad-time": lambda: trusted(authority(not_after=(UTC_TIME, b"garbage"))),
    "trust-time-with-zone": lambda: trusted(authority(not_after=(UTC_TIME, b"450101000000+0100"))),
    "trust-expired": lambda: trusted(authority(not_after=(UTC_TIME, b"110101000000Z"))),
    "trust-serial-negative": lambda: trusted(authority(serial=b"\xff")),
    "trust-duplicate-extension": lambda: trusted(
        authority(extensions=[der.extension(der.BASIC_CONSTRAINTS, der.der(SEQUENCE), True)] * 2)),
    "trust-bad-constraints": lambda: trusted(authority(extensions=[der.extension(der.BASIC_CONSTRAINTS, b"garbage", True)])),
    "trust-bad-name-constraints": lambda: trusted(authority(extensions=[der.extension(der.NAME_CONSTRAINTS, b"garbage", True)])),
    "trust-trailing-garbage": lambda: trusted(der.pem("CERTIFICATE", leaf() + b"\0")),
    "trust-ber-length": lambda: trusted(der.pem("CERTIFICATE", wide(leaf()))),
    "trust-rsa-1024": lambda: trusted(of_key(der.public_key(key("RSA", "rsa_keygen_bits:1024")))),
    "trust-odd-curve": lambda: trusted(of_key(der.public_key(key("EC", "ec_paramgen_curve:secp256k1")))),
    "trust-unknown-key": lambda: trusted(of_key(der.der(
        SEQUENCE, der.der(SEQUENCE, der.oid("1.2.3.4")), der.der(BIT_STRING, b"\0abc")))),
    "trust-subject-empty": lambda: trusted(authority(subject=der.der(SEQUENCE))),
    "trust-trusted-label": lambda: trusted(der.pem("TRUSTED CERTIFICATE", leaf())),
    "trust-revocations": lambda: trusted(authority(), der.pem("X509 CRL", b"garbage")),
    "trust-text-between": lambda: trusted("# one\n", authority(), "# two\n", authority(subject=der.name("z"))),
    "trust-headers-in-block": lambda: trusted(with_header(authority())),
    "trust-encrypted-block": lambda: trusted(with_header(authority(), ENCRYPTED)),
    "headers-encrypted": lambda: with_certificate(with_header(der.pem("CERTIFICATE", leaf()), ENCRYPTED)),
    "trust-3000": lambda: trusted(*(
        authority(serial=bytes([1, n // 256, n % 256]), subject=der.name(f"z{n}")) for n in range(3000))),
}


# ---- Routes and Services ---------------------------------------------------------------------------------------------

def annotated(**annotations):
    return ingress("case", HOST, [("/", "Prefix", "marker")],
                   {f"contour.heptio.com/{name.replace('_', '-')}": value for name, value in annotations.items()})


def modern(**annotations):
    return ingress("case", HOST, [("/", "Prefix", "marker")],
                   {f"projectcontour.io/{name.replace('_', '-')}": value for name, value in annotations.items()})


def path(value, kind="ImplementationSpecific"):
    return ingress("case", HOST, [(value, kind, "marker")])


def host(name, tls=None):
    return ingress("case", name, [("/", "Prefix", "marker")], tls_secret=tls)


def secure_host(name):
    return secret(der.pem("CERTIFICATE", leaf()), key()) + host(name, "case")


def routes(**options):
    return ingress_route("case", HOST, route("/", "marker", **options))


def of_service(**options):
    return ingress_route("case", HOST, route("/", ("marker", options)))


def check(**options):
    return of_service(healthCheck={"path": "/", **options})


def service(spec=None, annotations=None, name="odd", port=80):
    return text({"apiVersion": "v1", "kind": "Service", "metadata": metadata(name, annotations),
                 "spec": {"ports": [{"port": port}], **(spec or {})}}) + "---\n" + ingress_route(
        "case", HOST, {"match": "/", "services": [{"name": name, "port": port}]})


def external(name):
    return service({"type": "ExternalName", "externalName": name})


def limited(value, name="max-connections"):
    return service(annotations={f"contour.heptio.com/{name}": value})


def endpoints(*addresses, port=80, kind="IPv6"):
    return service() + text(
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": kind, "ports": [{"port": port}],
         "metadata": {**metadata("odd-1"), "labels": {"kubernetes.io/service-name": "odd"}},
         "endpoints": [{"addresses": [address]} for address in addresses]}) + "---\n"


def many(count, weight, names=1):
    services = "".join(text({"apiVersion": "v1", "kind": "Service", "metadata": metadata(f"odd-{n}"),
                             "spec": {"ports": [{"port": 80}]}}) + "---\n" for n in range(names))
    return services + ingress_route("case", HOST, route("/", *((f"odd-{n % names}", {"weight": weight}) for n in range(count))))


def passthrough(count=1, fqdn=HOST, **options):
    return ingress_route("case", fqdn, tls={"passthrough": True}, tcpproxy=[("marker", options)] * count)


HUGE = str(2**63 - 1)
ROUTES = {
    "timeout-huge": lambda: annotated(request_timeout=HUGE + "ns"),
    "timeout-100000-hours-and-more": lambda: annotated(request_timeout="2562047h47m16s"),
    "timeout-overflow": lambda: annotated(request_timeout="99999999999999h"),
    "timeout-negative": lambda: annotated(request_timeout="-1s"),
    "timeout-nanosecond": lambda: annotated(request_timeout="1ns"),
    "timeout-inf": lambda: annotated(request_timeout="inf"),
    "timeout-of-a-route-huge": lambda: routes(timeoutPolicy={"request": "2562047h"}),
    "timeout-of-a-route-negative": lambda: routes(timeoutPolicy={"request": "-5m"}),
    "retries-huge": lambda: annotated(retry_on="5xx", num_retries=HUGE),
    "retries-4294967295": lambda: annotated(retry_on="5xx", num_retries="4294967295"),
    "retries-negative": lambda: annotated(retry_on="5xx", num_retries="-7"),
    "retry-on-unknown": lambda: annotated(retry_on="no,such,word"),
    "retry-on-odd-bytes": lambda: annotated(retry_on="5xx,\x01\x7f\u00e9"),
    "retry-on-line-end": lambda: annotated(retry_on="5xx\r\nx: y"),
    "retry-on-leading-space": lambda: annotated(retry_on=" 5xx "),
    "retry-on-64-kib": lambda: annotated(retry_on="5xx," * 16384),
    "retry-on-grpc": lambda: annotated(
        retry_on="cancelled,deadline-exceeded,internal,retriable-4xx,retriable-headers,http3-post-connect-failure"),
    "per-try-above-timeout": lambda: annotated(retry_on="5xx", request_timeout="1s", per_try_timeout="1h"),
    "per-try-huge": lambda: annotated(retry_on="5xx", per_try_timeout="2562047h"),
    "per-try-nanosecond": lambda: annotated(retry_on="5xx", per_try_timeout="1ns"),
    "retries-of-a-route-huge": lambda: routes(retryPolicy={"count": 4294967295, "perTryTimeout": "2562047h"}),
    "path-regex-controls": lambda: path("/[a\x01]*"),
    "path-regex-range-of-escaped-controls": lambda: path("/[\\\x01-\x05]*"),
    "path-regex-escaped-control": lambda: path("/a*\\\x01"),
    "path-regex-repeated-control": lambda: path("/*\x01{3}"),
    "path-regex-quoted-control": lambda: path("/*\\Qa\x01b\\E"),
    "path-regex-latin1": lambda: path("/[\u00e0-\u00ff]*"),
    "path-regex-astral": lambda: path("/[\U0001F600-\U0001F64F]*"),
    "path-regex-surrogates": lambda: path("/[\\x{d800}-\\x{dfff}]*"),
    "path-regex-single-byte": lambda: path("/\\C*"),
    "path-regex-unicode-class": lambda: path("/\\pL*\\p{Greek}"),
    "path-regex-unicode-15": lambda: path("/\\p{Kawi}*"),
    "path-regex-named-group": lambda: path("/(?P<n>a)*"),
    "path-regex-named-group-of-perl": lambda: path("/(?<n>a)*"),
    "path-regex-same-name-twice": lambda: path("/(?P<n>a)*(?P<n>b)"),
    "path-regex-flags": lambda: path("/(?i)a*"),
    "path-regex-flags-only": lambda: path("/(?s-m:a*)"),
    "path-regex-look-behind": lambda: path("/(?<!a)b*"),
    "path-regex-back-reference": lambda: path("/(a)*\\1"),
    "path-regex-repeated-1000": lambda: path("/[a]{1000}"),
    "path-regex-repeated-1001": lambda: path("/[a]{1001}"),
    "path-regex-repeats-nested": lambda: path("/(([a]{30}){30}){30}"),
    "path-regex-big-unicode": lambda: path("/\\pL*\\pL*\\pL*\\pL*\\pL*"),
    "path-regex-deep": lambda: path("/" + "(" * 999 + "a*" + ")" * 999),
    "path-regex-deeper": lambda: path("/" + "(" * 5000 + "a*" + ")" * 5000),
    "path-regex-empty-alternatives": lambda: path("/(|a|)*"),
    "path-regex-empty": lambda: path("^"),
    "path-regex-end": lambda: path("^$"),
    "path-regex-word": lambda: path("/\\bfoo\\B*"),
    "path-regex-any-byte": lambda: path("/[^\\x00-\\x{10FFFF}]*"),
    "path-regex-posix": lambda: path("/[[:alpha:]]*[[:word:]]"),
    "path-regex-posix-unknown": lambda: path("/[[:nothing:]]*"),
    "path-regex-percent": lambda: path("/%41"),
    "path-regex-long": lambda: path("/" + "[ab]" * 900),
    "path-64-kib": lambda: path("/" + "a" * 65536),
    "path-controls": lambda: path("/a\x01\x7f"),
    "path-segments-controls": lambda: path("/a\x01\x7f", "Prefix"),
    "path-segments-latin1": lambda: path("/\u00e9", "Prefix"),
    "path-segments-double-slash": lambda: path("//", "Prefix"),
    "path-segments-dots": lambda: path("/../a/./b", "Prefix"),
    "path-segments-percent": lambda: path("/%2F%00", "Prefix"),
    "path-segments-query": lambda: path("/a?b", "Prefix"),
    "path-segments-without-slash": lambda: path("a", "Prefix"),
    "path-exact-query": lambda: path("/a?b#c", "Exact"),
    "path-exact-without-slash": lambda: path("a", "Exact"),
    "path-exact-controls": lambda: path("/\x01", "Exact"),
    "path-without-slash": lambda: path("a"),
    "path-space": lambda: path(" "),
    "path-query": lambda: path("/a?b"),
    "host-label-64": lambda: host("a" * 64 + ".example"),
    "host-253": lambda: host(".".join(["a" * 61] * 4) + ".abcde"),
    "host-254": lambda: host(".".join(["a" * 61] * 4) + ".abcdef"),
    "host-underscore": lambda: host("a_b.example"),
    "host-trailing-dot": lambda: host("case.example."),
    "host-trailing-hyphen": lambda: host("case-.example"),
    "host-upper-case": lambda: host("CASE.Example"),
    "host-punycode": lambda: host("xn--nxasmq6b.example"),
    "host-unicode": lambda: host("b\u00fccher.example"),
    "host-port": lambda: host("case.example:80"),
    "host-ipv4": lambda: host("192.0.2.1"),
    "host-ipv6": lambda: host("[2001:db8::1]"),
    "host-number": lambda: host("1"),
    "host-wildcard-only-label": lambda: host("*.example"),
    "host-wildcard-twice": lambda: host("*.*.example"),
    "host-wildcard-inside": lambda: host("a.*.example"),
    "host-wildcard-part": lambda: host("a*.example"),
    "host-wildcard-dot": lambda: host("*."),
    "host-two-dots": lambda: host("a..example"),
    "host-tls-ipv4": lambda: secure_host("192.0.2.1"),
    "host-tls-wildcard": lambda: secure_host("*.case.example"),
    "host-tls-wildcard-top": lambda: secure_host("*.example"),
    "host-tls-253": lambda: secure_host(".".join(["a" * 61] * 4) + ".abcde"),
    "host-tls-upper-case": lambda: secure_host("CASE.Example"),
    "host-tls-number": lambda: secure_host("1"),
    "tls-minimum-above-maximum": lambda: secret(der.pem("CERTIFICATE", leaf()), key()) + ingress(
        "case", HOST, [("/", "Prefix", "marker")], {"projectcontour.io/tls-minimum-protocol-version": "1.3",
                                                   "projectcontour.io/tls-maximum-protocol-version": "1.2"}, tls_secret="case"),
    "rewrite-empty": lambda: routes(prefixRewrite=""),
    "rewrite-without-slash": lambda: routes(prefixRewrite="a"),
    "rewrite-odd-bytes": lambda: routes(prefixRewrite="/\x01\x7f\u00e9"),
    "rewrite-line-end": lambda: routes(prefixRewrite="/a\r\nb"),
    "rewrite-url": lambda: routes(prefixRewrite="http://other/"),
    "rewrite-query": lambda: routes(prefixRewrite="/a?b=%REQ(x)%"),
    "rewrite-64-kib": lambda: routes(prefixRewrite="/" + "a" * 65536),
    "match-empty": lambda: ingress_route("case", HOST, route("", "marker")),
    "match-query": lambda: ingress_route("case", HOST, route("/?#", "marker")),
    "match-odd-bytes": lambda: ingress_route("case", HOST, route("/\x01\u00e9\x7f", "marker")),
    "strategy-unknown": lambda: of_service(strategy="Nonsense"),
    "strategies-mixed": lambda: ingress_route(
        "case", HOST, route("/", ("marker", {"strategy": "Cookie"}), ("marker", {"strategy": "Random"}))),
    "weight-huge": lambda: of_service(weight=2**32),
    "weight-of-one": lambda: of_service(weight=1000000),
    "weights-sum-above-32-bits": lambda: many(4400, 1000000),
    "weights-sum-above-32-bits-of-many": lambda: many(4400, 1000000, 4400),
    "weights-all-0": lambda: many(3, 0, 3),
    "weights-one-of-many-0": lambda: many(2000, 0),
    "check-interval-0": lambda: check(intervalSeconds=0, timeoutSeconds=0),
    "check-interval-huge": lambda: check(intervalSeconds=2**62, timeoutSeconds=2**62),
    "check-interval-49-days": lambda: check(intervalSeconds=2**32, timeoutSeconds=2**32),
    "check-interval-negative": lambda: check(intervalSeconds=-1, timeoutSeconds=-1),
    "check-timeout-above-interval": lambda: check(intervalSeconds=1, timeoutSeconds=100),
    "check-thresholds-0": lambda: check(unhealthyThresholdCount=0, healthyThresholdCount=0),
    "check-thresholds-huge": lambda: check(unhealthyThresholdCount=2**32 - 1, healthyThresholdCount=2**32 - 1),
    "check-path-odd-bytes": lambda: check(path="/\x01\x7f\u00e9\u20ac"),
    "check-path-line-end": lambda: check(path="/a\r\nb"),
    "check-path-without-slash": lambda: check(path="a b"),
    "check-path-64-kib": lambda: check(path="/" + "a" * 65536),
    "check-host-odd-bytes": lambda: check(host="\x01\x7f\u00e9 b"),
    "check-host-line-end": lambda: check(host="a\nb"),
    "check-host-64-kib": lambda: check(host="a" * 65536),
    "external-underscore": lambda: external("a_b.example"),
    "external-trailing-dot": lambda: external("b.example."),
    "external-256": lambda: external("a." * 128),
    "external-4-kib": lambda: external("a" * 4096),
    "external-label-64": lambda: external("a" * 64 + ".example"),
    "external-dots-only": lambda: external("..."),
    "external-two-dots": lambda: external("a..b"),
    "external-space": lambda: external("a b"),
    "external-slash": lambda: external("http://b.example/"),
    "external-port": lambda: external("b.example:80"),
    "external-odd-bytes": lambda: external("\x01\x7f\u00e9"),
    "external-unicode": lambda: external("b\u00fccher.example"),
    "external-ipv4": lambda: external("192.0.2.1"),
    "external-ipv4-short": lambda: external("192.2"),
    "external-ipv6": lambda: external("2001:db8::1"),
    "external-ipv6-zone": lambda: external("2001:db8::1%eth0"),
    "external-ipv6-brackets": lambda: external("[2001:db8::1]"),
    "external-wildcard": lambda: external("*.example"),
    "external-unix": lambda: external("unix:///tmp/x"),
    "external-empty": lambda: external(""),
    "external-star": lambda: external("*"),
    "limit-max": lambda: limited("4294967295"),
    "limit-above-32-bits": lambda: limited("99999999999"),
    "limit-above-64-bits": lambda: limited("9" * 40),
    "limit-negative": lambda: limited("-1"),
    "limit-of-retries-max": lambda: limited("4294967295", "max-retries"),
    "limit-of-a-host-max": lambda: service(annotations={"projectcontour.io/per-host-max-connections": "4294967295"}),
    "port-0": lambda: service(port=0),
    "port-65536": lambda: service(port=65536),
    "service-name-long": lambda: service(name="a" * 253),
    "service-name-odd": lambda: service(name="a/b:c%d\x01"),
    "port-name-odd": lambda: text({"apiVersion": "v1", "kind": "Service", "metadata": metadata("odd"), "spec": {
        "ports": [{"name": "\x01/\u00e9" + "n" * 300, "port": 80}]}}) + "---\n" + ingress_route(
            "case", HOST, {"match": "/", "services": [{"name": "odd", "port": 80}]}),
    "upstream-h2-and-tls": lambda: service(annotations={"contour.heptio.com/upstream-protocol.h2": "80",
                                                        "contour.heptio.com/upstream-protocol.tls": "80"}),
    "endpoint-zone": lambda: endpoints("fe80::1%eth0"),
    "endpoint-zone-number": lambda: endpoints("fe80::1%1"),
    "endpoint-mapped": lambda: endpoints("::ffff:192.0.2.1"),
    "endpoint-compatible": lambda: endpoints("::192.0.2.1"),
    "endpoint-any": lambda: endpoints("::", "0.0.0.0"),
    "endpoint-multicast": lambda: endpoints("ff02::1", "224.0.0.1", "255.255.255.255"),
    "endpoint-leading-zeros": lambda: endpoints("010.1.1.1", "1.2.3", "0x7f.1", kind="IPv4"),
    "endpoint-name": lambda: endpoints("pod.example", kind="FQDN"),
    "endpoint-port-0": lambda: endpoints("192.0.2.1", port=0, kind="IPv4"),
    "endpoint-port-65536": lambda: endpoints("192.0.2.1", port=65536, kind="IPv4"),
    "endpoint-twice-in-two-spellings": lambda: endpoints("2001:db8::1", "2001:0db8:0:0::1", "2001:DB8::1"),
    "endpoints-5000": lambda: endpoints(*(f"10.9.{n // 250}.{n % 250}" for n in range(5000)), kind="IPv4"),
    "tcp-weight-huge-sum": lambda: passthrough(4400, weight=1000000),
    "tcp-weights-0": lambda: passthrough(3, weight=0),
    "tcp-port-65536": lambda: ingress_route("case", HOST, tls={"passthrough": True}, tcpproxy=[("marker", {"port": 65536})]),
    "tcp-cookie": lambda: passthrough(strategy="Cookie"),
    "tcp-health-check": lambda: passthrough(healthCheck={"path": "/", "intervalSeconds": 2**40}),
    "tcp-number-host": lambda: passthrough(fqdn="1"),
    "tcp-ipv4-host": lambda: passthrough(fqdn="192.0.2.1"),
}


# ---- What becomes of them --------------------------------------------------------------------------------------------

CASES = {**CERTIFICATES, **ROUTES}

# No check, since no tool writes such: Envoy refuses, and src/xds finds out.
REFUSED = {
    "rsa-exponent-34-bits", "rsa-exponent-41-bits", "key-ber", "key-indefinite-length", "signature-odd-bits",
    "trailing-garbage-in-block", "ber-length", "ber-length-inside", "indefinite-length", "chain-ber-length",
    "chain-odd-signature", "trust-odd-signature", "trust-ber-length",
}

# A check, or the parser of manifests, refuses them. All others are taken.
CHECKED = {
    "rsa-1024", "rsa-2047", "rsa-pss-key", "rsa-3-primes", "rsa-key-wrong-private-exponent", "rsa-key-private-exponent-0",
    "rsa-key-wrong-dp", "rsa-key-wrong-qinv", "rsa-key-wrong-primes", "rsa-key-without-primes", "rsa-key-version-1",
    "rsa-key-big-private-exponent", "ec-p224", "ec-secp256k1", "ec-brainpool", "ec-explicit-curve", "ec-key-without-curve",
    "ec-key-of-another-pair-with-our-point", "ec-key-scalar-0", "ec-key-scalar-short", "ec-key-scalar-too-big", "ed448",
    "x25519", "pkcs8-version-1", "pkcs8-encrypted", "pkcs1-encrypted", "key-headers-in-block", "key-byte-order-mark",
    "ed25519-pkcs8-version-1", "key-with-certificate-before", "key-of-type-any", "key-labelled-rsa",
    "key-labelled-ec-but-rsa", "key-labelled-pkcs8-but-sec1", "version-1-with-extensions", "version-2-with-extensions",
    "version-4", "version-negative", "serial-empty", "serial-padded", "not-before-month-13", "not-before-february-30",
    "not-before-without-seconds", "not-before-fractional", "not-before-no-time", "not-before-empty",
    "not-before-of-a-string-type", "not-after-without-seconds", "not-after-fractional", "subject-empty",
    "subject-invalid-utf8", "subject-odd-universal-string", "subject-odd-bmp-string", "subject-of-type-integer",
    "subject-of-type-boolean", "subject-of-type-null", "subject-empty-and-mail", "subject-empty-and-id",
    "subject-empty-and-other", "subject-without-common-name", "subject-common-name-empty", "signature-no-bits",
    "key-usage-ec-agreement-only", "key-usage-ec-authority-only", "key-usage-ec-empty", "key-usage-ec-zero-bits",
    "key-usage-garbage", "must-staple", "trailing-element-in-certificate", "trusted-label", "x509-label", "byte-order-mark",
    "indented", "blank-lines-inside", "headers-in-block", "end-missing", "chain-garbage-block", "chain-empty-block",
    "chain-half-block", "chain-bad-base64", "chain-bad-version", "chain-bad-time", "chain-headers-in-block",
    "chain-revocations", "chain-key", "trust-byte-order-mark", "trust-one-bad", "trust-version-4",
    "trust-version-1-with-extensions", "trust-bad-time", "trust-trusted-label", "trust-revocations",
    "trust-headers-in-block", "trust-encrypted-block", "headers-encrypted", "retry-on-line-end", "path-regex-controls",
    "path-regex-range-of-escaped-controls", "path-regex-escaped-control", "path-regex-repeated-control",
    "path-regex-quoted-control", "path-regex-surrogates", "path-regex-named-group-of-perl", "path-regex-look-behind",
    "path-regex-back-reference", "path-regex-repeated-1001", "path-regex-repeats-nested", "path-regex-deep",
    "path-regex-deeper", "path-regex-any-byte", "path-regex-posix-unknown", "path-segments-query",
    "path-segments-without-slash", "host-label-64", "host-254", "host-trailing-dot", "host-unicode", "host-port",
    "host-ipv6", "host-wildcard-twice", "host-wildcard-inside", "host-wildcard-part", "host-wildcard-dot", "host-two-dots",
    "rewrite-line-end", "weight-huge", "check-path-line-end", "check-host-line-end", "external-dots-only", "external-empty",
    "port-0", "port-65536", "service-name-odd", "endpoint-port-65536", "tcp-port-65536",
}

SAMPLE = 16  # one case in so many is in the short run


@pytest.fixture(scope="module")
def site():
    with RefusingSite("refusals") as value:
        yield value


def put(site, objects):
    """Returns when Envoy has a host that came after these objects."""
    site.put("case.yaml", objects)
    site.put("after.yaml", "")
    site._published += 1
    host = f"after-{site._published}.example"
    site.put("after.yaml", ingress("after", host, [("/", "Prefix", "marker")]))
    client = Client(site.address, site.http_port)
    client.poll(host, "/", lambda answer: answer.backend == "marker", timeout=20)
    client.close()


def sampled(number, name):
    return pytest.param(name, marks=[] if number % SAMPLE == 0 else [pytest.mark.long])


@pytest.mark.parametrize("name", [sampled(number, name) for number, name in enumerate(CASES)])
def test_checked_or_taken(site, name):
    objects = CASES[name]()
    put(site, "")  # a problem that is there already isn't logged again
    before, read = site.envoy.rejections(), len(site.contour.log(whole=True))
    put(site, objects)
    time.sleep(0.1)  # secrets may come after the routes
    refused = site.envoy.rejections() != before
    log = site.contour.log(whole=True)[read:]
    checked = re.search(r"level=warning .*context=graph .*name=case$|name=case status=invalid|msg=\"manifest not read\"",
                        log, re.MULTILINE) is not None
    outcome = "refused" if refused else "checked" if checked else "taken"
    assert outcome == ("refused" if name in REFUSED else "checked" if name in CHECKED else "taken"), log
    assert site.contour.running and site.envoy.running
