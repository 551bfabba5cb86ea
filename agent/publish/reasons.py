"""Why there is no connection, in one sentence that says what to do. Pure."""

from __future__ import annotations

import socket
import ssl

from agent.publish.access import Access

EXPIRED, NOT_YET_VALID, WRONG_NAME, WRONG_ADDRESS = 10, 9, 62, 64
"""OpenSSL's X509_V_ERR_... numbers (x509_vfy.h)."""

PROTOCOL_ERROR = "Protocol error"
"""MQTT 5's name for it."""

_ALERTS = {
    "certificate required": "it wants a client certificate: set mqtt.cert_file and mqtt.key_file",
    "handshake failure": "it refuses our handshake: perhaps it wants a client certificate (mqtt.cert_file)",
    "certificate expired": "our certificate (mqtt.cert_file) has expired: renew it",
    "unknown ca": "it does not know the CA of our certificate (mqtt.cert_file)",
    "bad certificate": "it does not accept our certificate (mqtt.cert_file)",
    "certificate revoked": "our certificate (mqtt.cert_file) was revoked",
    "protocol version": "it speaks no TLS version that we accept (1.2 and 1.3)",
}


def of_error(error: Exception, access: Access) -> str:
    """Why dialling failed: name, TCP or TLS.

    >>> of_error(ConnectionRefusedError(), Access("cam.lan", 1883))
    'nothing listens on mqtt://cam.lan:1883: is the broker running, are mqtt.host and mqtt.port right?'
    """
    where = access.where
    if isinstance(error, ssl.SSLError):
        return _of_tls(error, access)
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"cannot resolve the broker's name {access.host!r}: check mqtt.host and the board's DNS"
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens on {where}: is the broker running, are mqtt.host and mqtt.port right?"
    if isinstance(error, TimeoutError):
        return f"no answer from {where} within {access.timeout_s:g} s: check network, firewall, mqtt.port and mqtt.tls"
    is_cut = access.tls and isinstance(error, ConnectionResetError | BrokenPipeError)
    return f"cannot reach {where}: {error}{': does that port speak TLS?' if is_cut else ''}"


def of_refusal(code: int, name: str, access: Access) -> str:
    """Why the broker answered CONNECT with no (MQTT 5 reason codes; 3.1.1 codes are mapped to them)."""
    if code in (0x86, 0x87):
        who = f"user {access.username!r}" if access.username else "a connection without user name"
        return f"{access.where} refuses {who} ({name}): check mqtt.username and mqtt.password_file"
    if code == 0x84:
        return f"{access.where} does not speak this version of MQTT"
    if code == 0x85:
        return f"{access.where} refuses our client id ({name}): check device.site and device.id"
    return f"{access.where} refuses the connection: {name}"


def of_close(detail: str, access: Access) -> str:
    """Why the connection ended; ``detail`` is the client library's or the broker's word for it, if any."""
    known = of_alert(detail)
    if known:
        return f"{access.where} closed the connection: {known}"
    return f"lost the connection to {access.where}" + (f": {detail}" if detail else "")


def of_early_close(detail: str, access: Access) -> str:
    """Why the connection ended before the broker had let us in."""
    if detail == PROTOCOL_ERROR:
        return f"{access.where} answers in no way that we understand: is it a broker for MQTT 5 or 3.1.1?"
    if not access.tls:
        hint = "does that port want TLS (mqtt.tls, mqtt.ca_file)?"
    elif access.has_certificate:
        hint = "it may not accept our certificate (mqtt.cert_file)"
    else:
        hint = "it may want a client certificate (mqtt.cert_file)"
    # in TLS 1.3 the broker judges our certificate after the handshake, and its alert may be overtaken by the close
    return f"{access.where} closed the connection before it answered: {of_alert(detail) or hint}"


def of_silence(access: Access) -> str:
    """The broker takes the connection and does not answer."""
    silence = f"takes the connection and says nothing for {access.timeout_s:g} s"
    return f"{access.where} {silence}: is it an MQTT broker, does it hang?"


def of_alert(text: str) -> str:
    """What a TLS alert in the text means for us, or an empty string."""
    plain = text.lower().replace("_", " ")
    return next((meaning for alert, meaning in _ALERTS.items() if f"alert {alert}" in plain), "")


def _of_tls(error: ssl.SSLError, access: Access) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_certificate(error, access)
    meaning = of_alert(str(error)) or f"does that port speak TLS? ({getattr(error, 'reason', None) or error})"
    return f"{access.where} does not complete TLS: {meaning}"


def _of_certificate(error: ssl.SSLCertVerificationError, access: Access) -> str:
    where = access.where
    if error.verify_code == EXPIRED:
        return f"the certificate of {where} has expired: renew it (or set the board's clock)"
    if error.verify_code == NOT_YET_VALID:
        return f"the certificate of {where} is not valid yet: is the board's clock right?"
    if error.verify_code in (WRONG_NAME, WRONG_ADDRESS):
        return f"the certificate of {where} is for another name: set mqtt.host to a name that it carries"
    return f"the certificate of {where} is not from a CA that we trust ({error.verify_message}): check mqtt.ca_file"
