"""Pages: written whole, small, in words, and in a browser: they render, turn under the mouse and ask for nothing."""

import builtins
import io
import json
import re
import shutil
import time

import numpy as np
import pytest
from PIL import Image

import geoflow as gf
from geoflow.app import report as pages
from geoflow.app.cli import main
from geoflow.app.figures import interactive

pytest.importorskip("plotly")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
LOSS = gf.LeastSquares([[1.0, 2.0]], [1.0])


@pytest.fixture(scope="module")
def verified():
    case = gf.catalog.parametrizations["hyperbolic"](2)
    return gf.verify_equivalence(LOSS, case.parametrization, case.x0, np.linspace(0, 1, 21), case.legendre)


def pictures_of(page):
    return json.loads(re.search(r'id="pictures">(.*?)</script>', page.read_text(), flags=re.DOTALL)[1])


def words_of(page):
    """The page without its scripts."""
    return re.sub(r"<script.*?</script>", "", page.read_text(), flags=re.DOTALL)


def test_the_page_of_a_report_has_its_claims_its_call_and_its_flows(verified, tmp_path):
    page = verified.to_html(tmp_path / "page.html")
    assert page == tmp_path / "page.html" and page.stat().st_size < pages.LARGEST
    words = words_of(page)
    for word in (
        f"{verified.gap:.1e}",
        "LeastSquares",
        "hyperbolic",
        "np.linspace(0, 1, 21)",
        "evidence, and no proof",
    ):
        assert word in words
    assert str(verified.gradient_flow.x[0].tolist()) in words
    graph, gap = pictures_of(page).values()
    surface, flow, mirror = graph["data"]
    w = np.array([flow["x"], flow["y"]]).T
    assert np.allclose(w, verified.gradient_flow.w, rtol=1e-5)
    assert np.allclose(flow["z"], verified.legendre(verified.gradient_flow.w), rtol=1e-4, atol=1e-6)
    assert np.allclose(np.array([mirror["x"], mirror["y"]]).T, verified.mirror_flow.w, rtol=1e-5)
    assert surface["type"] == "surface" and np.isfinite(np.array(surface["z"], dtype=float)).any()
    assert gap["layout"]["yaxis"]["type"] == "log"


def test_the_call_of_a_page_makes_the_report_again(verified, tmp_path):
    page = verified.to_html(tmp_path / "page.html")
    call = re.search(r"<pre>(.*?)</pre>", page.read_text(), flags=re.DOTALL)[1].replace("&#x27;", "'")
    page.unlink()
    found = {"loss": LOSS, "G": gf.catalog.parametrizations["hyperbolic"](2).parametrization}
    exec(call, found)
    assert np.allclose(found["report"].gradient_flow.w, verified.gradient_flow.w, rtol=1e-9) and page.exists()


def test_the_page_of_a_realization_has_its_certificate_and_m(realized, tmp_path):
    F = realized("spectral, a sphere")
    page = F.to_html(str(tmp_path / "F.html"))
    assert page.stat().st_size < pages.LARGEST
    words = words_of(page)
    assert f"{F.certificate.metric_error:.1e}" in words and "gf.realize(R, gf.domains.Box(" in words
    surface, path, stages = pictures_of(page).values()
    grid = np.stack([surface["data"][0][key] for key in "xyz"], axis=-1)
    assert grid.shape[-1] == 3 and surface["layout"]["scene"]["aspectmode"] == "data"
    assert np.allclose(np.linalg.norm(grid, axis=-1).std() / np.linalg.norm(grid, axis=-1).mean(), 0, atol=1)
    assert np.allclose(stages["data"][0]["y"], [stage.fresh for stage in F.stages], rtol=1e-5)
    assert stages["data"][0]["x"] == stages["layout"]["xaxis"]["tickvals"] == list(range(len(F.stages)))
    assert stages["layout"]["xaxis"]["ticktext"] == [f"{stage.parameter:.0f}" for stage in F.stages]
    assert len(path["data"]) == 2


def test_verify_and_realize_write_a_page_with_their_command(tmp_path, capsys):
    folder = tmp_path / "a b"
    assert main(["verify", "sine", "parabola", "burg", "--prove", "--report", str(folder)]) == 0
    assert "the report is" in capsys.readouterr().out
    words = words_of(folder / "report.html")
    assert f"geoflow verify sine parabola burg --prove --report &#x27;{folder}&#x27;" in words
    for word in ("<h2>sine</h2>", "<h2>parabola</h2>", "<h2>burg</h2>", "refused, as it has to be", "What is proved"):
        assert word in words
    assert main(["realize", "burg", "--report", str(folder)]) == 0
    assert "Burg entropy" in words_of(folder / "report.html")
    assert {path.name for path in folder.iterdir()} == {"report.html"}


def test_what_fails_is_on_the_page(tmp_path):
    row = gf.Row("<map>", {"gap": 1.0, "lift gap": float("nan")}, {"gap": 1e-7, "lift gap": 1e-7}, error="a & b")
    words = words_of(pages.write_rows(tmp_path / "page.html", "<title>", "geoflow & verify", [row]))
    assert words.count("FAILS") >= 3 and "&lt;map&gt;" in words and "a &amp; b" in words and "geoflow &amp; v" in words
    assert "<map>" not in words and ">nan<" in words


@pytest.mark.parametrize("d", [1, 3, 9])
def test_flows_of_every_dimension_have_a_picture(d, tmp_path):
    case = gf.catalog.parametrizations["hyperbolic"](d)
    loss = gf.LeastSquares(np.eye(d), np.ones(d))
    report = gf.verify_equivalence(loss, case.parametrization, case.x0, 0.2, case.legendre)
    picture = next(iter(pictures_of(report.to_html(tmp_path / "page.html")).values()))
    first = picture["data"][0]
    if d == 3:
        assert np.allclose(np.array([first[k] for k in "xyz"]).T, report.gradient_flow.w, rtol=1e-5, atol=1e-12)
    else:
        assert len(picture["data"]) == 2 * d and np.allclose(first["x"], report.gradient_flow.t, rtol=1e-5)


def test_long_flows_batches_and_missing_numbers_are_thinned_not_dropped():
    t = np.linspace(0, 1, 10_001)
    w = np.tile(np.column_stack([t, t**2])[:, None], (1, 3, 1))
    w[5000:, 1] = np.nan
    flow = gf.Trajectory(t, w, None, w, w[..., 0], gf.Status.SUCCESS, "", lambda s: w)
    picture, _ = interactive.compared({"": (flow, flow)})
    x = picture["data"][0]["x"]
    assert len(x) == 3 * interactive.TIMES + 2 and x[0] == 0.0 and x[-1] == 1.0 and None in x
    json.dumps(picture, allow_nan=False)


def test_a_page_that_would_be_large_leaves_pictures_out_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "require_plotly", lambda: lambda: "x" * (pages.LARGEST - 250_000))
    picture = ({"data": [{"x": [1.0] * 6_000}], "layout": {}}, "so many numbers")
    monkeypatch.setattr(pages, "_of_row", lambda row: pages.Section(row.name, "", [], [picture]))
    page = pages.write_rows(tmp_path / "page.html", "t", "c", [gf.Row("a"), gf.Row("b")])
    assert len(pictures_of(page)) == 1 and "left out" in page.read_text() and page.stat().st_size < pages.LARGEST


def test_without_plotly_the_extra_is_named_before_anything_runs(verified, tmp_path, monkeypatch, capsys):
    whole = builtins.__import__

    def without(name, *more, **options):
        if name.startswith("plotly"):
            raise ModuleNotFoundError("No module named 'plotly'", name="plotly")
        return whole(name, *more, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(gf.ArgumentError, match=r"no plotly; .* pip install geoflow\[report\]"):
        verified.to_html(tmp_path / "page.html")
    for command in (["verify", "sine"], ["realize", "burg"]):
        assert main([*command, "--report", str(tmp_path / "folder")]) == 2
        told = capsys.readouterr()
        assert "geoflow[report]" in told.err and "sine" not in told.out
    assert list(tmp_path.iterdir()) == []


def test_a_page_is_written_whole_or_not_at_all(verified, tmp_path, monkeypatch):
    page = tmp_path / "page.html"
    page.write_text("before")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(gf.FileError, match="No space left"):
            verified.to_html(page)
    assert page.read_text() == "before" and list(tmp_path.iterdir()) == [page]
    for bad in (tmp_path / "no" / "page.html", tmp_path):
        with pytest.raises(gf.FileError, match="a file that can be written"):
            verified.to_html(bad)
    with pytest.raises(gf.ArgumentError, match="path of a page"):
        verified.to_html(3)


# in a browser -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("chromium and chromium-driver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader",
                     "--enable-unsafe-swiftshader", "--window-size=1000,900"):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    found.set_script_timeout(120)
    yield found
    found.quit()


def opened(browser, page):
    """Open a page, wait until every picture is drawn, and return their names."""
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(page.as_uri())
    return until(lambda: browser.execute_script(DRAWN), 120)


DRAWN = """
const divs = [...document.querySelectorAll('figure > div')];
return divs.length && divs.every(d => d._fullLayout && d.querySelector('.main-svg')) ? divs.map(d => d.id) : null
"""
CAMERA = "return document.getElementById(arguments[0])._fullLayout.scene._scene.getCamera().eye"


def seen(element):
    """What a browser shows of an element, as an array of colours."""
    return np.asarray(Image.open(io.BytesIO(element.screenshot_as_png)).convert("RGB"))


def until(done, seconds=60):
    end = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < end
        time.sleep(0.3)
    return found


@pytest.mark.parametrize("kind", ["report", "realization"])
def test_in_a_browser(browser, kind, verified, realized, tmp_path):
    """It renders, the surface turns under the mouse, nothing is asked of the network, and the console has no error."""
    from selenium.webdriver.common.action_chains import ActionChains

    value = verified if kind == "report" else realized("spectral, a sphere")
    page = value.to_html(tmp_path / "page.html")
    names = opened(browser, page)
    assert names == list(pictures_of(page)) and browser.title in words_of(page)
    solid = names[0]
    canvas = browser.find_element("css selector", f"#{solid} canvas")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    until(lambda: len(np.unique(seen(canvas).reshape(-1, 3), axis=0)) > 500)  # a shaded surface, not an empty frame
    colours = seen(canvas)
    before = browser.execute_script(CAMERA, solid)
    ActionChains(browser).move_to_element(canvas).click_and_hold().move_by_offset(120, 40).release().perform()
    after = until(lambda: (eye := browser.execute_script(CAMERA, solid)) != before and eye)
    assert np.linalg.norm([after[k] - before[k] for k in "xyz"]) > 0.05, (before, after)
    until(lambda: np.mean(seen(canvas) != colours) > 0.02)  # and it is seen from there
    asked = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in asked if m["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [page.as_uri()]
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
