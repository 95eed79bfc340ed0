"""The page of results/quick in a browser: sorting, filters, runs, keyboard, nothing asked of a network.

Run by ``.ci/browser``, which installs what it needs; ``SHOTS=FOLDER .ci/browser`` leaves screenshots too.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: see .ci/browser")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("needs Chromium: see .ci/browser", allow_module_level=True)

from disentangle.joined import read_studies  # noqa: E402
from disentangle.page import write_page  # noqa: E402
from disentangle.table import make_tables, save_tables  # noqa: E402

RESULTS = Path(__file__).parents[2] / "results"
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WIDE, NARROW = (1400, 1000), (390, 844)
MIG = "section.board:not([hidden]) th[data-metric='mig@1[rows=50000] mig']"
ROWS = "section.board:not([hidden])[data-place^='dsprites|'] tbody.run tr:not([hidden])"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the page is, built from the rows of results/quick."""
    folder = tmp_path_factory.mktemp("quick")
    for name in ("rows", "pictures"):
        shutil.copytree(RESULTS / "quick" / name, folder / name)
    shutil.copy(RESULTS / "quick" / "study.toml", folder)
    tables = make_tables(read_studies([folder]))
    save_tables(tables, folder)
    write_page(tables, folder, "embed")
    return (folder / "index.html").as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as found:
        started = found.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


# The texts in an element that are seen and whose contrast to what is under them is less than 4.5, as WCAG
# counts it. Colours with an opacity are laid over what is below them.
CONTRAST = """(root) => {
  const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const read = (text) => text.match(/[\\d.]+/g).map(Number).concat(1).slice(0, 4);
  const over = (top, below) => [0, 1, 2].map((i) => top[3] * top[i] + (1 - top[3]) * below[i]);
  const under = (one) => {
    const below = one.parentElement && one.tagName !== "DIALOG" ? under(one.parentElement) : [255, 255, 255];
    return over(read(getComputedStyle(one).backgroundColor), below);
  };
  const poor = [];
  const seen = new Set();
  const walk = document.createTreeWalker(document.querySelector(root), NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const one = node.parentElement;
    if (!node.textContent.trim() || one.closest("svg, script, option") || !one.checkVisibility()) continue;
    seen.add(one);
    const paper = light(under(one)), ink = light(read(getComputedStyle(one).color));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    if (ratio < 4.5) poor.push(`${one.tagName} ${one.className} ${node.textContent.slice(0, 30)} ${ratio}`);
  }
  return seen.size > 20 ? poor : [`only ${seen.size} texts found`];
}"""


class Visit:
    """A page that is open, and everything that the browser complained of or asked for."""

    def __init__(self, browser: Any, address: str, size: tuple[int, int] = WIDE, **options: Any) -> None:
        viewport = {"width": size[0], "height": size[1]}
        self.context = browser.new_context(viewport=viewport, **options)
        self.page, self.said, self.asked = self.context.new_page(), [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)

    def texts(self, selector: str) -> list[str]:
        return [text.strip() for text in self.page.locator(selector).all_inner_texts()]

    def column(self, metric: str) -> list[float]:
        cells = self.page.locator(f"{ROWS} td[data-metric='{metric}']")
        return [float(v) for v in cells.evaluate_all("cells => cells.map(cell => cell.dataset.v)")]


def settle(page: Any, expression: str) -> None:
    """Wait until something is true. Playwright's own wait needs eval, which the page's policy forbids."""
    for _ in range(100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never true: {expression}")


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Visit]:
    made = Visit(browser, address)
    yield made
    assert made.said == []
    local = [url for url in made.asked if not url.startswith("data:")]
    assert local == [address]  # the file itself, and nothing else
    made.context.close()


def test_a_column_sorts_best_first_then_worst_then_as_the_study_has_it(visit: Visit) -> None:
    before = visit.column("mig@1[rows=50000] mig")
    button = visit.page.locator(f"{MIG} button").first
    button.click()
    assert visit.column("mig@1[rows=50000] mig") == sorted(before, reverse=True)
    assert visit.page.locator(MIG).first.get_attribute("aria-sort") == "descending"
    button.press("Enter")  # by keyboard
    assert visit.column("mig@1[rows=50000] mig") == sorted(before)
    button.press("Enter")
    assert visit.column("mig@1[rows=50000] mig") == before
    assert visit.page.locator(MIG).first.get_attribute("aria-sort") is None
    assert before != sorted(before)


def test_filters_narrow_the_tables_and_stay_in_the_address(visit: Visit, browser: Any) -> None:
    page = visit.page
    assert page.locator("#count").inner_text() == "6 lines in 2 tables"
    page.select_option("[name=method]", "beta_vae")
    assert visit.texts(f"{ROWS} .setting") == ["beta=4", "beta=16"]
    page.fill("[name=text]", "BETA=16")
    assert visit.texts(f"{ROWS} .setting") == ["beta=16"]
    page.fill("[name=text]", "0.")  # of settings, not of scores
    assert visit.texts(f"{ROWS} .setting") == []
    page.fill("[name=text]", "")
    page.select_option("[name=place]", "shapes3d|drawn|")
    assert page.locator("#nothing").is_visible()
    page.select_option("[name=place]", "dsprites|drawn|")
    page.select_option("[name=metric]", "sap@1[rows=50000] sap")
    shown = visit.texts("section.board:not([hidden]) thead th.score:not([hidden])")
    assert len(shown) == 1
    assert shown[0].startswith("sap")
    page.uncheck("[name=calibration]")
    assert not page.locator("tbody.calibration").first.is_visible()
    again = Visit(browser, page.url)
    assert again.texts(f"{ROWS} .setting") == ["beta=4", "beta=16"]
    assert not again.page.locator("[name=calibration]").is_checked()
    again.context.close()
    page.click("button[type=reset]")
    settle(page, "document.querySelector('#count').textContent === '6 lines in 2 tables'")


def test_rules_never_share_a_table(visit: Visit) -> None:
    page = visit.page
    page.select_option("[name=rule]", "oracle:mig")
    boards = page.locator("section.board:not([hidden])")
    rules = boards.evaluate_all("boards => boards.map(board => board.dataset.rule)")
    assert rules == ["oracle:mig", "oracle:mig"]
    assert visit.texts(f"{ROWS} .setting").count("beta=1, k=1, pairs=paper") == 1
    assert "chosen by mig" in boards.first.locator("thead").inner_text()
    boards.first.locator("thead .sort", has_text="chosen by").click()
    cells = boards.first.locator("tbody.run td:nth-child(4)").all_inner_texts()
    assert cells == sorted(cells, key=float, reverse=True)  # the best first
    boards.first.locator("tbody.run .open", has_text="Ada").last.click()
    assert visit.texts("#run tbody th.first")[:2] == ["seed 0", "seed 1"]
    page.keyboard.press("Escape")


def test_a_line_opens_its_runs_by_keyboard_with_pictures_and_provenance(visit: Visit, browser: Any) -> None:
    page = visit.page
    line = page.locator(ROWS, has_text="k=1, pairs").first
    line.locator(".open").focus()
    page.keyboard.press("Enter")
    dialog = page.locator("#run")
    assert dialog.is_visible()
    title = "Ada-GVAE beta=1, k=1, pairs=paper on dsprites (drawn), seed "
    assert page.locator("#run-title").inner_text() == f"{title}0"
    first = page.evaluate("location.hash")
    page.locator("#run-body .open", has_text="seed 1").focus()
    page.keyboard.press("Enter")
    assert page.locator("#run-title").inner_text() == f"{title}1"
    assert page.locator("#run-said").inner_text() == "Seed 1, 2 of 2, is shown"
    assert page.evaluate("document.activeElement.textContent") == "seed 1"  # and not the page's beginning
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowRight")
    assert page.locator("#run-body h3").first.inner_text() == "Seed 1"
    assert page.evaluate("location.hash") != first
    page.keyboard.press("ArrowRight")  # there is no third
    assert page.locator("#run-body h3").first.inner_text() == "Seed 1"
    assert visit.texts("#run-body tfoot th") == ["mean", "std (n - 1)"]
    assert page.locator("#run-body .matrix").count() == 2
    assert visit.texts("#run-body .matrix >> nth=0 >> thead th")[0] == "shape"
    images = page.locator("#run-body img")
    assert images.count() == 3
    assert not images.nth(2).is_visible()  # nothing moves that nobody asked to
    page.locator("#run-body .pictures summary").click()
    for i in range(3):
        images.nth(i).scroll_into_view_if_needed()
        settle(page, f"document.querySelectorAll('#run-body img')[{i}].naturalWidth > 300")
    text = dialog.inner_text()
    for word in ("commit", "hardware", "sha256:", "50,000 scored", "mig@1[rows=50000]", "torch"):
        assert word in text
    address = page.url
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    settle(page, "!location.hash.includes('run=')")
    again = Visit(browser, address)  # a run can be sent along
    assert again.page.locator("#run-body h3").first.inner_text() == "Seed 1"
    again.page.reload()
    assert again.page.locator("#run-body h3").first.inner_text() == "Seed 1"
    assert again.said == []
    again.context.close()


def test_going_back_closes_a_run_and_does_not_leave_the_page(visit: Visit) -> None:
    page, dialog = visit.page, visit.page.locator("#run")
    page.select_option("[name=method]", "beta_vae")
    page.locator(f"{ROWS} .open").first.click()
    page.keyboard.press("ArrowRight")
    assert dialog.is_visible()
    page.go_back()
    settle(page, "!document.querySelector('#run').open && location.hash === '#method=beta_vae'")
    page.go_forward()
    settle(page, "document.querySelector('#run').open")
    page.keyboard.press("Escape")
    settle(page, "location.hash === '#method=beta_vae'")


def test_a_run_closes_by_a_click_beside_it_alone(visit: Visit) -> None:
    page, dialog = visit.page, visit.page.locator("#run")
    page.locator(f"{ROWS} td.setting").nth(1).click()  # anywhere on a line
    assert page.locator("#run-title").inner_text().startswith("beta-VAE beta=4")
    page.keyboard.press("Escape")
    settle(page, "!location.hash.includes('run=')")
    page.locator(f"{ROWS} .open").first.dblclick()
    assert dialog.is_visible()
    box = dialog.bounding_box()
    page.mouse.click(box["x"] + 4, box["y"] + 4)  # its edge
    page.mouse.move(box["x"] + 200, box["y"] + 40)  # from within to beside it, as one selects text
    page.mouse.down()
    page.mouse.move(2, 2)
    page.mouse.up()
    assert dialog.is_visible()
    page.mouse.click(2, 2)
    assert not dialog.is_visible()


def test_an_address_may_name_a_place_or_what_is_not_there(visit: Visit, browser: Any) -> None:
    for end, said in (
        ("#figures", "6 lines in 2 tables"),
        ("#run=abc&method=nothing", "6 lines in 2 tables; no run abc is"),
    ):
        other = Visit(browser, visit.page.url + end)
        assert other.page.locator("#count").inner_text().startswith(said)
        assert other.said == []
        other.context.close()


def test_the_link_to_the_tables_keeps_the_filters(visit: Visit) -> None:
    page = visit.page
    page.select_option("[name=method]", "beta_vae")
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "boards"
    page.evaluate("location.hash = 'h1'")
    assert page.locator("[name=method]").input_value() == "beta_vae"


def test_texts_sort_by_the_numbers_in_them(visit: Visit) -> None:
    page = visit.page
    cells = f"{ROWS} .setting"
    texts = ["beta=16", "beta=0.5", "beta=-2", "beta=1e-05", "beta=1,000"]
    page.eval_on_selector_all(cells, f"(cells) => cells.forEach((cell, i) => cell.textContent = {texts}[i])")
    page.locator("section.board:not([hidden])[data-place^='dsprites|'] th .sort").nth(1).click()
    assert visit.texts(cells) == ["beta=-2", "beta=1e-05", "beta=0.5", "beta=16", "beta=1,000"]


def test_what_stands_behind_the_mean_can_be_chosen(visit: Visit) -> None:
    page, cell = visit.page, f"{ROWS} td.score >> nth=0"
    before = page.locator(cell).inner_text()
    assert "± 95 %" in page.locator("section.board:not([hidden]) th.score").first.inner_text()
    page.select_option("[name=spread]", "std")
    after = page.locator(cell).inner_text()
    assert before != after
    assert before.split()[0] == after.split()[0]
    assert float(before.split()[2]) > float(after.split()[2])  # two seeds: 9 standard deviations
    assert "± std" in page.locator("section.board:not([hidden]) th.score").first.inner_text()


def test_each_metric_is_explained(visit: Visit) -> None:
    part = visit.page.locator(".metrics")
    assert part.locator("dt").count() == visit.page.locator("[name=metric] option").count() - 1
    text = part.inner_text()
    assert "Mutual information gap (Chen et al. 2018)." in text
    part.locator("summary").first.click()
    assert "Range 0 to 1." in part.inner_text()


def test_calibration_and_published_are_apart(visit: Visit) -> None:
    page = visit.page
    assert page.locator("section.board:not([hidden]) tbody.calibration").count() == 2
    page.locator(f"{MIG} button").first.click()
    assert page.locator("section.board:not([hidden]) tbody").first.get_attribute("class") == "run"
    part = page.locator("details.published").first
    part.locator("summary").click()
    assert part.locator("tbody tr").first.is_visible()
    assert part.locator("tbody tr td:nth-child(9)").first.inner_text() in ("primary", "secondary")
    page.select_option("[name=method]", "beta_vae")
    assert set(part.locator("tbody tr:not([hidden]) th").all_inner_texts()) == {"beta-VAE"}
    page.select_option("[name=metric]", "sap@1[rows=50000] sap")
    kept = part.locator("tbody tr:not([hidden])").evaluate_all("rows => rows.map(row => row.dataset.score)")
    assert set(kept) <= {"sap"}
    page.select_option("[name=metric]", "")
    page.uncheck("[name=published]")
    assert not part.is_visible()


def test_figures_are_inline_and_follow_the_filter(visit: Visit) -> None:
    page = visit.page
    assert page.locator("figure[data-place] svg").count() >= 4
    ids = page.eval_on_selector_all("[id]", "found => found.map(one => one.id)")
    assert len(ids) == len(set(ids))
    page.select_option("[name=place]", "dsprites|drawn|")
    assert not page.locator("figure[data-place^='shapes3d']").first.is_visible()


def test_slash_goes_to_the_filter_and_colours_can_be_chosen(visit: Visit) -> None:
    page = visit.page
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "text"
    paper = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(paper) == "rgb(255, 255, 255)"
    for _ in range(2):  # light, then dark
        page.click("#theme")
    assert page.evaluate(paper) == "rgb(17, 20, 24)"
    page.reload()
    assert page.evaluate(paper) == "rgb(17, 20, 24)"
    visit.asked = visit.asked[:1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_nothing_sticks_out_and_texts_can_be_read(
    browser: Any, address: str, size: tuple[int, int], scheme: str
) -> None:
    visit = Visit(browser, address, size, color_scheme=scheme)
    page = visit.page
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) <= size[0]
    shots = os.environ.get("DISENTANGLE_SHOTS")
    stem = f"{'wide' if size == WIDE else 'narrow'}-{scheme}"
    if shots:
        page.screenshot(path=f"{shots}/{stem}.png")
        page.screenshot(path=f"{shots}/{stem}-all.png", full_page=True)
    page.locator(f"{ROWS} .open").last.click()
    assert page.evaluate(width) <= size[0]
    if shots:
        page.screenshot(path=f"{shots}/{stem}-run.png")
    page.locator("#run-body details").evaluate_all("all => all.forEach(one => one.open = true)")
    for root in ("#run", "body"):
        assert page.evaluate(CONTRAST, root) == []
        page.keyboard.press("Escape")
    assert visit.said == []
    visit.context.close()


def test_without_scripts_the_tables_are_whole(browser: Any, address: str) -> None:
    visit = Visit(browser, address, java_script_enabled=False)
    assert "Without scripts the tables are whole" in visit.page.inner_text("noscript")
    assert len(visit.texts(ROWS)) == 5
    every = visit.page.locator("section.board")
    assert every.count() > 2
    assert all(every.nth(i).is_visible() for i in range(every.count()))
    visit.context.close()
