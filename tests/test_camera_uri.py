"""The camera's address: what is understood, what is refused and how, and that no password is ever shown."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.camera.uri import FORMS, CameraUri, parse, redact
from agent.errors import CameraError


@pytest.mark.parametrize(
    ("text", "kind", "target"),
    [
        ("/dev/video0", "v4l2", "/dev/video0"),
        ("/dev/v4l/by-id/usb-Cam_C920-video-index0", "v4l2", "/dev/v4l/by-id/usb-Cam_C920-video-index0"),
        ("usb:0", "v4l2", "/dev/video0"),
        ("USB:12", "v4l2", "/dev/video12"),
        ("picamera:", "picamera", "0"),
        ("picamera:1", "picamera", "1"),
        ("rtsp://10.0.0.7/ch1", "stream", "rtsp://10.0.0.7/ch1"),
        ("https://cam.local/video.mjpg?fps=5", "stream", "https://cam.local/video.mjpg?fps=5"),
        ("clips/street.mp4", "path", "clips/street.mp4"),
        ("./a:b.mp4", "path", "./a:b.mp4"),
        ("my pictures", "path", "my pictures"),
        ("file:clips/street.mp4", "path", "clips/street.mp4"),
        ("demo:", "rendered", ""),
        ("demo:?seed=3&light=0.4", "rendered", "seed=3&light=0.4"),
        ("file:///srv/my%20clip.mp4", "path", "/srv/my clip.mp4"),
    ],
)
def test_every_form_is_understood(text: str, kind: str, target: str) -> None:
    uri = parse(text)
    assert (uri.kind, uri.target) == (kind, target)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("rtsp://cam/ch", "cam", 554),
        ("rtsps://cam/ch", "cam", 322),
        ("http://cam/", "cam", 80),
        ("https://cam/", "cam", 443),
        ("rtsp://u:p@[fe80::1]:8554/ch", "fe80::1", 8554),
    ],
)
def test_streams_know_their_host_and_port(text: str, host: str, port: int) -> None:
    assert (parse(text).host, parse(text).port) == (host, port)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", FORMS),
        ("  ", FORMS),
        ("0", "did you mean usb:0"),
        ("usb:", "a number from 0 to 999"),
        ("usb:front", "a number from 0 to 999"),
        ("usb:1000", "a number from 0 to 999"),
        ("usb:-1", "a number from 0 to 999"),
        ("usb:٣", "a number from 0 to 999"),
        ("picamera:main", "a number from 0 to 999"),
        ("demo:fast", "after a question mark"),
        ("ftp://cam/clip.mp4", FORMS),
        ("a:b.mp4", "./ before a file name with a colon"),
        ("rtsp://", "the host is missing"),
        ("rtsp:/10.0.0.7/ch", "the host is missing"),
        ("http:///x", "the host is missing"),
        ("rtsp://cam:99999/ch", "the port must be a number from 1 to 65535"),
        ("rtsp://cam:port/ch", "the port must be a number from 1 to 65535"),
        ("rtsp://[fe80::1/ch", "cannot be read"),
        ("rtsp://cam/a b", "%20"),
        ("/dev/video0\n", "control character"),
        ("clip\x00.mp4", "control character"),
    ],
)
def test_nonsense_is_refused_with_what_to_write_instead(text: str, says: str) -> None:
    with pytest.raises(CameraError, match=r".") as refused:
        parse(text)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://admin:hunter2@10.0.0.7:554/ch1",
        "rtsp://hunter2@10.0.0.7/ch1",
        "http://10.0.0.7/mjpeg?user=admin&password=hunter2",
        "http://10.0.0.7/mjpeg?pwd=hunter2&fps=5",
        "http://10.0.0.7/mjpeg?access=1&token=hunter2",
        "rtsp://10.0.0.7:554/user=admin_password=hunter2_channel=1_stream=0.sdp",
        "RTSP://admin:hunter2@10.0.0.7/",
        # and what is refused must not show it either
        "rtsp://admin:x/hunter2@10.0.0.7/ch1",
        "rtsp://admin:12/hunter2@10.0.0.7/ch1",
        "rtsp://admin:12#hunter2@10.0.0.7/ch1",
        "rtsp://admin:12?hunter2@10.0.0.7/ch1",
        "rtsp:/admin:hunter2@10.0.0.7/ch1",
        "admin:hunter2@10.0.0.7/ch1",
        "ftp://admin:hunter2@10.0.0.7/",
        "rtsp://admin:hunter2@10.0.0.7:port/",
        "rtsp://admin:hunter2@",
        "rtsp://admin:hunter2@10.0.0.7/a b",
        "rtsp://admin:hunter2@10.0.0.7/\n",
    ],
)
def test_no_way_of_writing_a_password_shows_it(text: str) -> None:
    assert "hunter2" not in _told(text)


@pytest.mark.parametrize("mark", "/?#")
def test_a_password_that_splits_the_url_is_explained(mark: str) -> None:
    for text in (f"rtsp://admin:pa{mark}ss@10.0.0.7/ch1", f"rtsp://admin:12{mark}34@10.0.0.7/ch1"):
        with pytest.raises(CameraError, match=r"in a password write / as %2F, @ as %40, # as %23, \? as %3F"):
            parse(text)


ANY = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=6)


@given(
    user=st.text(string.ascii_lowercase + string.digits + "._-", max_size=8),
    password=st.tuples(ANY, ANY).map("HUNTER2".join),
    scheme=st.sampled_from(["rtsp", "http", "https", "rtsps", "ftp", "RTSP"]),
    rest=st.sampled_from(["10.0.0.7/ch1", "cam.local:8554/a?b=c", "[fe80::1]/x", "", ":bad"]),
)
def test_law_no_password_is_ever_shown(user: str, password: str, scheme: str, rest: str) -> None:
    assert "HUNTER2" not in _told(f"{scheme}://{user}:{password}@{rest}")


@given(st.text(max_size=60))
def test_law_any_text_is_an_address_or_one_clear_line(text: str) -> None:
    try:
        uri = parse(text)
    except CameraError as fault:
        assert len(str(fault).splitlines()) == 1  # noqa: PT017 - both outcomes are right
    else:
        assert uri.target
        assert isinstance(uri, CameraUri)


@given(st.text(max_size=60))
def test_law_redacting_twice_changes_nothing(text: str) -> None:
    assert redact(redact(text)) == redact(text)


def test_a_record_in_a_log_line_shows_no_password() -> None:
    assert "secret" not in repr(parse("rtsp://admin:secret@cam/ch"))
    assert "admin:***@cam" in repr(parse("rtsp://admin:secret@cam/ch"))


def _told(text: str) -> str:
    """Everything that a person may get to see of an address."""
    try:
        uri = parse(text)
    except CameraError as fault:
        return str(fault)
    return uri.shown + repr(uri)
