"""The page in a real browser: Debian's Chromium, driven by Playwright, checked by axe.

    python tests/page/browser.py SCENARIO PROGRAM [SCREENSHOTS]

runs one scenario against a server of PROGRAM on a free port of this machine, and ends with 0 if all of it
held. SCREENSHOTS is a folder for pictures. Nothing but loopback is asked: a request that leaves it fails the
scenario.
"""

import atexit
import base64
import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = [ROOT / "assets/samples" / name for name in ("cat.jpg", "coffee.jpg", "raccoon.webp", "rocket.png")]
# Milliseconds; nothing here takes so long, what does has failed.
GUARD = 120_000
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
# First paint may take so long, with the processor slowed down four times: milliseconds.
FIRST_PAINT = 1000
# The page's parts together, in bytes, uncompressed.
MOST_BYTES = 100_000


class Server:
    """A server of the real model on a queue of its own, which survives its restarts."""

    def __init__(self, program, *options):
        self.folder = tempfile.mkdtemp(prefix="beagle-page-")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.command = [
            program, "serve", "--profile", "imagenet", "--device", "flex", "--bind", f"127.0.0.1:{self.port}",
            "--data", self.folder, *options,
        ]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # A scenario that fails leaves no server behind.
        atexit.register(self.process.kill)
        until = time.monotonic() + GUARD / 1000
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(self.url + "readyz") as answer:
                if answer.status == 200:
                    return
            assert self.process.poll() is None, f"the server ended with {self.process.returncode}"
            assert time.monotonic() < until, "the server is not ready"
            time.sleep(0.05)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)

    def labels(self, photo):
        """What a program that asks /predict is told."""
        request = urllib.request.Request(
            self.url + "predict", photo.read_bytes(), {"Content-Type": "application/octet-stream"}
        )
        with urllib.request.urlopen(request) as answer:
            return [row["label"].replace("_", " ") for row in json.load(answer)["predictions"]]


class Visit:
    """A page that is open, and what must hold whatever is done on it."""

    def __init__(self, browser, server, **options):
        self.server = server
        self.context = browser.new_context(viewport=options.pop("viewport", DESKTOP), **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(GUARD)
        self.asked, self.complaints = [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: self.note(said))
        # From now on choosers are the test's. A busy browser would show one that is asked for right after
        # this was said, and nobody would be told.
        self.page.on("filechooser", lambda _: None)
        self.page.goto(server.url)

    def note(self, said):
        # What the server refuses is told to the person; the browser says it here as well.
        if said.type == "error" and not re.search(r"Failed to load resource|net::ERR", said.text):
            self.complaints.append(said.text)

    def card(self, name):
        return self.page.locator(".photo", has=self.page.get_by_role("heading", name=name, exact=True)).first

    def check_answer(self, name, labels):
        card = self.card(name)
        expect(card.locator(".state")).to_contain_text("Classified", timeout=GUARD)
        assert card.locator(".labels .name").all_inner_texts() == labels
        return card

    def check_axe(self, where):
        found = Axe().run(self.page)
        violations = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found.response["violations"]]
        assert not violations, f"{where}: {violations}"

    def check_width(self):
        wide, seen = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= seen, f"{wide} pixels on a screen of {seen}"

    def close(self):
        ours = (self.server.url, "blob:" + self.server.url)
        others = [url for url in self.asked if not url.startswith(ours)]
        assert not others, f"requests that leave the origin: {others}"
        assert not self.complaints, f"the browser complains: {self.complaints}"
        self.context.close()


def transfer(page, files):
    """Files as a drag or a paste carries them."""
    parts = [[file.name, base64.b64encode(file.read_bytes()).decode()] for file in files]
    return page.evaluate_handle(
        """(parts) => {
            const carried = new DataTransfer();
            for (const [name, text] of parts) {
                const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
                carried.items.add(new File([bytes], name, { type: "image/*" }));
            }
            return carried;
        }""",
        parts,
    )


def picker_drop_and_paste(browser, program, screenshots):
    """Photos come in by all three ways and have the answers that /predict gives."""
    server = Server(program)
    visit = Visit(browser, server)
    page = visit.page
    visit.check_axe("empty")
    cat, coffee, raccoon, rocket = SAMPLES
    page.locator("#files").set_input_files(cat)
    visit.check_answer("cat.jpg", server.labels(cat))
    page.dispatch_event("#drop", "dragover", {"dataTransfer": transfer(page, [coffee, rocket])})
    expect(page.locator("#drop")).to_have_class("over")
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer(page, [coffee, rocket])})
    visit.check_answer("coffee.jpg", server.labels(coffee))
    visit.check_answer("rocket.png", server.labels(rocket))
    page.evaluate(
        "(carried) => document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData: carried, bubbles: true, cancelable: true }))",
        transfer(page, [raccoon]),
    )
    visit.check_answer("raccoon.webp", server.labels(raccoon))
    expect(page.locator("#summary")).to_have_text("4 of 4 photos finished.")
    expect(page.locator("#health")).to_have_text("ready")
    expect(page.locator("#gauges")).to_be_visible()
    expect(page.locator("#p50")).to_contain_text("s", timeout=GUARD)
    curl = visit.card("cat.jpg").locator("code")
    assert curl.text_content() == f"curl -F image=@'cat.jpg' '{server.url}predict'"
    visit.check_axe("with answers")
    visit.check_width()
    if screenshots:
        page.screenshot(path=screenshots / "page-desktop.png", full_page=True)
    page.get_by_role("button", name="Clear what is finished").click()
    expect(page.locator(".photo")).to_have_count(0)
    visit.close()
    server.close()


def many_at_once(browser, program, _):
    """Sixty photos, more than there are connections, all answered."""
    server = Server(program)
    visit = Visit(browser, server)
    labels = {photo.name: server.labels(photo) for photo in SAMPLES}
    visit.page.locator("#files").set_input_files(SAMPLES * 15)
    expect(visit.page.locator("#summary")).to_have_text("60 of 60 photos finished.", timeout=GUARD)
    for name, wanted in labels.items():
        cards = visit.page.locator(".photo", has=visit.page.get_by_role("heading", name=name, exact=True))
        assert cards.count() == 15
        found = [card.locator(".labels .name").all_inner_texts() for card in cards.all()]
        assert all(one == wanted for one in found), name
    visit.close()
    server.close()


def broken_and_too_large(browser, program, _):
    """What cannot be read is said kindly, by name, and the others go on."""
    server = Server(program, "--max-image", "1MiB", "--max-body", "4MiB")
    visit = Visit(browser, server)
    cat = SAMPLES[0]
    whole, torn = cat.read_bytes(), SAMPLES[3].read_bytes()
    visit.page.locator("#files").set_input_files([
        {"name": "cut.png", "mimeType": "image/png", "buffer": torn[: len(torn) // 3]},
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"this is no photo"},
        {"name": "empty.png", "mimeType": "image/png", "buffer": b""},
        {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": whole + bytes(1 << 20)},
        {"name": "huge.jpg", "mimeType": "image/jpeg", "buffer": whole + bytes(12 << 20)},
        {"name": "cat.jpg", "mimeType": "image/jpeg", "buffer": whole},
    ])
    visit.check_answer("cat.jpg", server.labels(cat))
    expect(visit.page.locator("#summary")).to_have_text(
        "6 of 6 photos finished, 5 without an answer.", timeout=GUARD
    )
    said = {name: visit.card(name).locator(".state").inner_text() for name in
            ("cut.png", "notes.txt", "empty.png", "large.jpg", "huge.jpg")}
    for name, words in {
        "cut.png": "PNG", "notes.txt": "is text", "empty.png": "no bytes|empty", "large.jpg": "bytes", "huge.jpg": "bytes",
    }.items():
        assert re.search(words, said[name]), said
        # Sending it again would change nothing.
        expect(visit.card(name).get_by_role("button", name="Try again")).to_be_hidden()
    visit.check_axe("with errors")
    visit.close()
    server.close()


def restart_in_the_middle(browser, program, _):
    """The server is killed with photos in its queue: they are answered when it is back."""
    server = Server(program, "--max-batch", "1")
    visit = Visit(browser, server)
    labels = {photo.name: server.labels(photo) for photo in SAMPLES}
    visit.page.locator("#files").set_input_files(SAMPLES * 10)
    # Some are done, some in the queue, some not yet sent.
    expect(visit.page.locator(".photo .labels li").first).to_be_visible(timeout=GUARD)
    server.kill()
    expect(visit.page.locator("#health")).to_have_class("bad", timeout=GUARD)
    visit.check_axe("without a server")
    server.start()
    expect(visit.page.locator("#summary")).to_have_text("40 of 40 photos finished.", timeout=GUARD)
    for card in visit.page.locator(".photo").all():
        assert card.locator(".labels .name").all_inner_texts() == labels[card.locator("h2").inner_text()]
    expect(visit.page.locator("#health")).to_have_class("good", timeout=GUARD)
    visit.close()
    server.close()


def overload(browser, program, _):
    """A full queue answers 503: the page says so, waits as long as it is told, and all are answered."""
    server = Server(program, "--max-jobs", "1", "--max-batch", "1")
    visit = Visit(browser, server)
    visit.page.evaluate(
        """() => {
            window.said = new Set();
            new MutationObserver(() => document.querySelectorAll(".state").forEach((state) => window.said.add(state.textContent)))
                .observe(document.querySelector("#photos"), { subtree: true, childList: true, characterData: true });
        }"""
    )
    visit.page.locator("#files").set_input_files(SAMPLES * 6)
    expect(visit.page.locator("#summary")).to_have_text("24 of 24 photos finished.", timeout=GUARD)
    said = visit.page.evaluate("[...window.said]")
    assert any("The server is full" in text for text in said), said
    visit.close()
    server.close()


def phone(browser, program, screenshots):
    """A phone's screen, by touch and in the dark."""
    server = Server(program)
    visit = Visit(
        browser, server, viewport=PHONE, is_mobile=True, has_touch=True, device_scale_factor=2, color_scheme="dark",
        reduced_motion="reduce",
    )
    with visit.page.expect_file_chooser() as chosen:
        visit.page.get_by_text("Choose photos").tap()
    chosen.value.set_files(SAMPLES[:2])
    for photo in SAMPLES[:2]:
        visit.check_answer(photo.name, server.labels(photo))
    visit.check_width()
    visit.check_axe("on a phone")
    if screenshots:
        visit.page.screenshot(path=screenshots / "page-phone.png")
    visit.page.set_viewport_size(DESKTOP)
    visit.check_axe("in the dark")
    if screenshots:
        visit.page.screenshot(path=screenshots / "page-dark.png", full_page=True)
    visit.close()
    server.close()


def keyboard_only(browser, program, _):
    """All of it without a mouse."""
    server = Server(program)
    visit = Visit(browser, server)
    page = visit.page

    def reach(what):
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("(what) => document.activeElement.matches(what)", what):
                return
        raise AssertionError(f"{what} is not reached by Tab")

    reach("#files")
    outlined = page.evaluate("getComputedStyle(document.querySelector('#drop .button')).outlineStyle")
    assert outlined == "solid", "where one is must be seen"
    with page.expect_file_chooser() as chosen:
        page.keyboard.press("Enter")
    chosen.value.set_files(SAMPLES[0])
    visit.check_answer("cat.jpg", server.labels(SAMPLES[0]))
    reach("summary")
    page.keyboard.press("Enter")
    expect(page.locator("code")).to_be_visible()
    page.keyboard.press("Shift+Tab")
    reach(".copy")
    page.locator("#clear").focus()
    page.keyboard.press("Space")
    expect(page.locator(".photo")).to_have_count(0)
    visit.close()
    server.close()


def cost(browser, program, _):
    """Small, quick on a slow processor, and under a policy that lets nothing else in."""
    server = Server(program)
    context = browser.new_context(viewport=DESKTOP)
    page = context.new_page()
    bytes_read = []
    page.on("response", lambda response: bytes_read.append((response.url, len(response.body())))
            if response.url.startswith(server.url) and not response.url.endswith(("/metrics", "/readyz")) else None)
    slow = context.new_cdp_session(page)
    slow.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    paints = []
    for _ in range(5):
        answer = page.goto(server.url)
        page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
        paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
    parts = dict(bytes_read)
    print(f"{sum(parts.values())} bytes in {len(parts)} parts; first paint {sorted(paints)[2]:.0f} ms (median of 5)")
    assert sum(parts.values()) < MOST_BYTES, parts
    assert sorted(paints)[2] < FIRST_PAINT, paints
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy and "default-src 'none'" in policy, policy
    context.close()
    server.close()


SCENARIOS = {scenario.__name__: scenario for scenario in (
    picker_drop_and_paste, many_at_once, broken_and_too_large, restart_in_the_middle, overload, phone, keyboard_only,
    cost,
)}


def main():
    name, program, *rest = sys.argv[1:]
    screenshots = Path(rest[0]) if rest else None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        SCENARIOS[name](browser, program, screenshots)
        browser.close()


main()
