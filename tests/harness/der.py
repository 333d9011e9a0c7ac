# SPDX-License-Identifier: Apache-2.0
"""Makes certificates and keys that no tool would make: every field of a certificate can be given. Its
signature isn't valid (nobody verifies the one of a server's own certificate).

pem("CERTIFICATE", certificate(public_key(key), extensions=[extension(KEY_USAGE, b"...")]))
"""
import base64
import functools
import subprocess

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, NULL, OID = 1, 2, 3, 4, 5, 6
UTF8, PRINTABLE, UTC_TIME, GENERALIZED_TIME, SEQUENCE, SET = 12, 19, 23, 24, 0x30, 0x31

COMMON_NAME = "2.5.4.3"
SUBJECT_ALT_NAME, KEY_USAGE, EXTENDED_KEY_USAGE, BASIC_CONSTRAINTS = "2.5.29.17", "2.5.29.15", "2.5.29.37", "2.5.29.19"
NAME_CONSTRAINTS, TLS_FEATURE = "2.5.29.30", "1.3.6.1.5.5.7.1.24"
ECDSA_SHA256, RSA_SHA256 = "1.2.840.10045.4.3.2", "1.2.840.113549.1.1.11"
RSA_SHA1, RSA_MD5, RSA_PSS = "1.2.840.113549.1.1.5", "1.2.840.113549.1.1.4", "1.2.840.113549.1.1.10"
RSA_KEY, EC_KEY, P256 = "1.2.840.113549.1.1.1", "1.2.840.10045.2.1", "1.2.840.10045.3.1.7"


def der(tag, *parts):
    content = b"".join(parts)
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def integer(value):
    return der(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def oid(text):
    first, second, *rest = map(int, text.split("."))
    content = bytearray()
    for number in (first * 40 + second, *rest):
        septets = [number & 0x7f]
        while number := number >> 7:
            septets.append(0x80 | number & 0x7f)
        content += bytes(reversed(septets))
    return der(OID, bytes(content))


def name(text, kind=UTF8):
    content = text.encode() if isinstance(text, str) else text
    return der(SEQUENCE, der(SET, der(SEQUENCE, oid(COMMON_NAME), der(kind, content))))


def extension(identifier, value, critical=False):
    return der(SEQUENCE, oid(identifier), der(BOOLEAN, b"\xff") if critical else b"", der(OCTET_STRING, value))


def alternative_names(*names):
    return extension(SUBJECT_ALT_NAME, der(SEQUENCE, *(der(0x82, entry.encode()) for entry in names)))


def key_usage(*bits):
    value = bytearray(2)
    for bit in bits:
        value[bit // 8] |= 0x80 >> bit % 8
    used = value if max(bits) > 7 else value[:1]
    return extension(KEY_USAGE, der(BIT_STRING, bytes([7 - max(bits) % 8]) + bytes(used)), True)


def certificate(public_key, *, version=2, serial=b"\x01", algorithm=None, outer_algorithm=None, issuer=None, subject=None,
                not_before=(UTC_TIME, b"250101000000Z"), not_after=(UTC_TIME, b"450101000000Z"), extensions=(),
                signature=b"\x00\x30\x06\x02\x01\x01\x02\x01\x01", more=b""):
    """Returns DER. version None: the field is missing; extensions: DER each; more: fields before the extensions."""
    algorithm = algorithm or der(SEQUENCE, oid(ECDSA_SHA256))
    common = name("a.example")
    to_be_signed = der(
        SEQUENCE, b"" if version is None else der(0xa0, integer(version)), der(INTEGER, serial), algorithm, issuer or common,
        der(SEQUENCE, der(*not_before), der(*not_after)), subject or common, public_key, more,
        der(0xa3, der(SEQUENCE, *extensions)) if extensions else b"")
    return der(SEQUENCE, to_be_signed, outer_algorithm or algorithm, der(BIT_STRING, signature))


def pem(kind, content, width=64):
    text = base64.b64encode(content).decode()
    lines = [text[i:i + width] for i in range(0, len(text), width)]
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----", ""])


def openssl(*arguments, stdin=None):
    return subprocess.run(["openssl", *arguments], input=stdin, check=True, capture_output=True).stdout


def generate(algorithm, *options):
    """Returns a private key as PEM (PKCS#8): generate("EC", "ec_paramgen_curve:P-256")."""
    flags = [flag for option in options for flag in ("-pkeyopt", option)]
    return openssl("genpkey", "-algorithm", algorithm, *flags).decode()


@functools.cache
def public_key(private):
    """SubjectPublicKeyInfo, DER."""
    return openssl("pkey", "-pubout", "-outform", "DER", stdin=private.encode())


def decode(text):
    """The DER of the first block of a PEM."""
    lines = text.split("-----BEGIN ", 1)[1].split("-----END", 1)[0].splitlines()[1:]
    return base64.b64decode("".join(lines))


def elements(content):
    """The elements of a DER sequence, each whole."""
    found, position = [], _content_start(content, 0)
    while position < len(content):
        start = _content_start(content, position)
        size = content[position + 1]
        if size & 0x80:
            size = int.from_bytes(content[position + 2:start], "big")
        found.append(content[position:start + size])
        position = start + size
    return found


def _content_start(content, position):
    size = content[position + 1]
    return position + 2 + (size & 0x7f if size & 0x80 else 0)
