"""Mail, as people's programs write it: each word is read once, however it is packed."""

from __future__ import annotations

import base64
import binascii
from email.message import EmailMessage

import pytest

from tests.support.direct_reading import Reading, reading
from tests.support.pdf_files import pdf
from tests.support.sample_files import csv_file

HEAD = "From: a@example.org\r\nTo: b@example.org\r\nSubject: Gates\r\nMIME-Version: 1.0\r\n"


def read(message: str | bytes, name: str = "a.eml") -> Reading:
    return reading(message if isinstance(message, bytes) else message.encode(), name)


def parts(kind: str, *each: str) -> str:
    """A message of these parts, each with its headers."""
    inner = "".join(f"--b1\r\n{part}\r\n" for part in each)
    return f'{HEAD}Content-Type: {kind}; boundary="b1"\r\n\r\n{inner}--b1--\r\n'


def part(kind: str, text: str, *headers: str) -> str:
    return "\r\n".join([f"Content-Type: {kind}", *headers, "", text])


def test_a_message_is_known_though_who_wrote_it_is_beyond_the_bytes_looked_at() -> None:
    seals = "".join(f"ARC-Seal: i={number}; b={'x' * 900}\r\n" for number in range(12))
    found = read(f"Delivered-To: b@example.org\r\nReceived: by mx\r\n{seals}{HEAD}\r\nThe body.\r\n", "mail")
    assert found.kind == "eml"
    assert found.lines[0] == "Subject: Gates"
    assert found.lines[-1] == "The body."


@pytest.mark.parametrize(
    "message",
    [
        "Subject: One\r\n\r\nbody\r\n",
        "x-store-info:J++/JTC\r\nSubject: One\r\nFrom: a@example.org\r\n\r\nbody\r\n",
        "\r\n\r\nFrom: a@example.org\r\nSubject: One\r\n\r\nbody\r\n",
        "From a@example.org Mon May  2 16:07:05 2005\r\nSubject: One\r\nFrom: a@example.org\r\n\r\nbody\r\n",
    ],
)
def test_what_is_called_a_message_and_has_its_headers_is_one(message: str) -> None:
    found = read(message)
    assert found.kind == "eml"
    assert found.warnings == []
    assert "Subject: One" in found.lines
    assert found.lines[-1] == "body"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_message_saved_as_a_text_is_read_as_a_message(encoding: str) -> None:
    message = f"{HEAD}Content-Type: text/plain; charset=UTF-8\r\n\r\nDie Größe.\r\n"
    found = read(message.encode(encoding))
    assert found.kind == "eml"
    assert found.lines[-1] == "Die Größe."


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_headers_that_are_not_ascii_are_read_all_the_same(encoding: str) -> None:
    message = (
        "Subject: Prüfung der Schütze\r\nFrom: Jürgen <a@example.org>\r\nMIME-Version: 1.0\r\n"
        'Content-Type: text/plain\r\nContent-Disposition: attachment; filename="Größe.txt"\r\n\r\nWörter\r\n'
    )
    found = read(message.encode(encoding))
    assert found.lines[:2] == ["Subject: Prüfung der Schütze", "From: Jürgen <a@example.org>"]
    assert found.names == {"Größe.txt"}


@pytest.mark.parametrize(
    ("header", "shown"),
    [
        ("=?utf-8?q?Gr=C3=BC=C3=9Fe?= vom Wehr", "Grüße vom Wehr"),
        ("=?utf-8?B?R3LDvA==?= =?utf-8?B?w59l?=", "Grüße"),
        ("=?utf-8?Q?Gr=C3?=\r\n =?utf-8?Q?=BC=C3=9Fe?=", "Grüße"),
        ("=?ISO-2022-JP?B?GyRCP2VMZxsoQg==?=", "水門"),
        ("=?GB2312?B?1NfP1w==?= 1", "宰献 1"),
        ("=?no-such-charset?B?VEVTVA=?=", "TEST"),
        ("=?utf-8?B?!?=", ""),
        ("a =?b question?", "a =?b question?"),
    ],
)
def test_encoded_headers_are_decoded(header: str, shown: str) -> None:
    found = read(f"Subject: {header}\r\nFrom: a@example.org\r\nMessage-ID: <1@x>\r\n\r\nbody\r\n")
    assert found.lines[0] == (f"Subject: {shown}" if shown else "From: a@example.org")


@pytest.mark.parametrize(
    ("charset", "encoding", "text"),
    [
        ("", "cp1252", "Die Größe der Schütze"),
        ("; charset=us-ascii", "utf-8", "Die Größe der Schütze"),
        ("; charset=no-such", "cp1252", "Die Größe der Schütze"),
        ("; charset=iso-8859-1", "cp1252", "“Quoted” – it’s €5"),
        ("; charset=gb2312", "gb18030", "压力钢管的检查镕"),
        ("; charset=x-sjis", "cp932", "①水門の操作手順"),
        ("; charset=utf-8", "cp1251", "Напорный трубопровод подводит воду к турбине"),
        ("; charset=punycode", "utf-8", "Die Größe"),
    ],
)
def test_the_body_is_decoded_as_it_is_and_not_only_as_it_says(charset: str, encoding: str, text: str) -> None:
    head = f"{HEAD}Content-Type: text/plain{charset}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    assert read(head.encode() + text.encode(encoding)).lines[-1] == text


def test_of_alternatives_one_is_read() -> None:
    plain = part("text/plain", "Open the lower gate.")
    found = read(parts("multipart/alternative", plain, part("text/html", "<p>Open the <b>lower</b> gate.</p>")))
    assert found.lines[3:] == ["Open the lower gate."]


def test_where_the_plain_text_is_a_stub_the_html_is_read() -> None:
    html = part("text/html", "<p>Open the lower gate, then the upper one, and write down the pressure.</p>")
    found = read(parts("multipart/alternative", part("text/plain", "See the HTML."), html))
    assert found.lines[3:] == ["Open the lower gate, then the upper one, and write down the pressure."]


def test_what_is_attached_within_an_alternative_is_not_lost() -> None:
    """Some programs put the HTML and its attachments together into one alternative, beside the plain text."""
    encoded = base64.encodebytes(pdf(["In the attached file."])).decode()
    file = part(
        "application/pdf", encoded, "Content-Transfer-Encoding: base64", 'Content-Disposition: inline; filename="a.pdf"'
    )
    html = part("text/html", "<p>Open the gate.</p>")
    mixed = f'Content-Type: multipart/mixed; boundary="b2"\r\n\r\n--b2\r\n{html}\r\n--b2\r\n{file}\r\n--b2--'
    found = read(parts("multipart/alternative", part("text/plain", "Open the gate."), mixed))
    assert found.text.count("Open the gate.") == 1
    assert "In the attached file." in found.text
    assert found.names == {"a.pdf"}


def test_what_became_of_a_message_that_did_not_arrive_is_read() -> None:
    status = part(
        "message/delivery-status", "Reporting-MTA: dns; mx.example.org\r\n\r\nStatus: 4.2.2\r\nAction: delayed\r\n"
    )
    headers = part("text/rfc822-headers", "Subject: Wanted\r\nFrom: c@example.org\r\nMessage-ID: <2@x>\r\n")
    found = read(parts("multipart/report", part("text/plain", "Not delivered."), status, headers))
    assert {"Not delivered.", "Reporting-MTA: dns; mx.example.org", "Status: 4.2.2"} <= set(found.lines)
    assert "Subject: Wanted" in found.lines
    assert found.warnings == []


def test_an_attached_message_is_read_though_it_is_encoded() -> None:
    inner = base64.encodebytes(b"Subject: Inner\r\nFrom: c@example.org\r\n\r\nWhat was forwarded.\r\n").decode()
    found = read(parts("multipart/mixed", part("message/rfc822", inner, "Content-Transfer-Encoding: base64")))
    assert "Subject: Inner" in found.lines
    assert "What was forwarded." in found.lines


def test_lines_that_flow_are_one() -> None:
    text = "This line \r\ngoes on.\r\n> A quoted \r\n> one too.\r\n>> and deeper \r\n> not.\r\n-- \r\nA. Writer\r\n"
    found = read(f"{HEAD}Content-Type: text/plain; format=flowed\r\n\r\n{text}")
    assert found.lines[3:] == [
        "This line goes on.",
        "> A quoted one too.",
        ">> and deeper ",
        "> not.",
        "-- ",
        "A. Writer",
    ]


def test_lines_that_flow_without_their_blank_are_one_word() -> None:
    found = read(f"{HEAD}Content-Type: text/plain; format=flowed; delsp=yes; charset=utf-8\r\n\r\n水門の \r\n操作\r\n")
    assert found.lines[-1] == "水門の操作"


def test_a_file_within_the_text_is_an_attachment() -> None:
    made = csv_file()
    lines = "".join(
        binascii.b2a_uu(made.content[start : start + 45]).decode() for start in range(0, len(made.content), 45)
    )
    found = read(f"{HEAD}\r\nBefore it.\r\n\r\nbegin 644 figures.csv\r\n{lines}`\r\nend\r\n\r\nAfter it.\r\n")
    assert found.lines[3:5] == ["Before it.", "After it."]
    assert "begin 644" not in found.text
    assert found.names == {"figures.csv"}


def test_a_body_whose_parts_are_not_there_is_read_as_text() -> None:
    found = read(f'{HEAD}Content-Type: multipart/mixed; boundary="never"\r\n\r\nThe words all the same.\r\n')
    assert found.lines[-1] == "The words all the same."
    assert found.warnings == []


def test_a_part_that_never_ends_is_read() -> None:
    found = read(f'{HEAD}Content-Type: multipart/mixed; boundary="b1"\r\n\r\n--b1\r\n{part("text/plain", "Cut off")}')
    assert found.lines[-1] == "Cut off"
    assert found.warnings == ["The message ends before its last part does; something may be missing."]


@pytest.mark.parametrize("kind", ["application/pkcs7-signature", "application/pgp-signature"])
def test_a_signature_is_no_document(kind: str) -> None:
    signature = part(kind, "AAAA", "Content-Disposition: attachment; filename=smime.p7s")
    found = read(parts("multipart/signed", part("text/plain", "Signed words."), signature))
    assert found.lines[3:] == ["Signed words."]
    assert found.warnings == found.problems == []


@pytest.mark.parametrize(
    "message",
    [
        parts(
            "multipart/encrypted",
            part("application/pgp-encrypted", "Version: 1"),
            part("application/octet-stream", "-----BEGIN"),
        ),
        f"{HEAD}Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\n\r\nMIAGCSqG\r\n",
    ],
)
def test_a_sealed_body_is_reported_and_not_read(message: str) -> None:
    found = read(message)
    assert "BEGIN" not in found.text
    assert found.problems == ["its body is encrypted, or sealed by a signature; save a decrypted copy"]


def test_outlooks_own_attachment_is_named() -> None:
    message = EmailMessage()
    message["Subject"], message["From"], message["Message-ID"] = "Gates", "a@example.org", "<1@x>"
    message.set_content("words")
    message.add_attachment(b"\x78\x9f\x3e\x22\0\0\0", maintype="application", subtype="ms-tnef", filename="winmail.dat")
    assert read(message.as_bytes()).warnings == [
        "winmail.dat is an attachment of Outlook's own kind (TNEF), which is not read."
    ]


def test_markup_of_other_kinds_is_not_shown() -> None:
    found = read(f"{HEAD}Content-Type: text/enriched\r\n\r\n<bold>Open</bold> it if <<1 bar.\r\n")
    assert found.lines[-1] == "Open it if <1 bar."


def test_all_messages_of_a_mailbox_are_read() -> None:
    one = parts("multipart/mixed", part("text/plain", "First body."))
    other = "Subject: Second\r\nFrom: c@example.org\r\n\r\nSecond body.\r\n\r\n>From here on, quoted.\r\n"
    box = "".join(f"From a@example.org Mon May  2 16:07:05 2005\r\n{each}\r\n" for each in (one, other))
    found = read(box, "a.mbox")
    assert [line for line in found.lines if "body" in line] == ["First body.", "Second body."]
    assert found.names == {"message 2.eml"}
    assert found.warnings == []


def test_a_saved_web_page_is_what_it_shows() -> None:
    page = part("text/html", "<html><p>Shown.</p></html>", "Content-Location: http://example.org/")
    style = part("text/css", "p { color: red }", "Content-Location: http://example.org/a.css")
    picture = part("image/svg+xml", "<svg/>", "Content-Location: http://example.org/a.svg")
    found = read(parts("multipart/related", page, style, picture), "a.mhtml")
    assert found.lines[-1] == "Shown."
    assert found.warnings == []
