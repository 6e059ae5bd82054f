"""
The pages that the example apps have for everybody.
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from examples.two_apps.serving import Served
from tests.browser.browsers import NARROW, WIDE, picture

pytestmark = pytest.mark.xdist_group("browser")  # so that one worker starts one browser

PAGES = {
    "shop": ("shop", "/", 200, "For sale"),
    "school": ("school", "/", 200, "Courses"),
    "locked-course": ("school", "/courses/course_evals", 403, "“Evals” is locked"),
}


async def visit(page: Page, sites: Served, name: str) -> None:
    """
    Open one of the pages, and see that it is that one, and that the browser has nothing to complain about.
    """
    site, path, status, heading = PAGES[name]
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.on("console", lambda said: complaints.append(said.text) if str(status) not in said.text else None)
    origin = sites.shop_url if site == "shop" else sites.school_url
    response = await page.goto(origin + path)
    assert response is not None
    assert response.status == status
    await expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    assert complaints == []


class TestPages:
    @pytest.mark.parametrize("name", PAGES)
    async def test_wide_and_narrow(self, page: Page, sites: Served, name: str) -> None:
        """
        Each page opens, and fits a desktop's screen and a small phone's.
        """
        await visit(page, sites, name)
        await picture(page, name)

    @pytest.mark.parametrize("name", PAGES)
    async def test_without_javascript(self, plain_page: Page, sites: Served, name: str) -> None:
        """
        Each page shows the same if JavaScript is switched off.
        """
        await visit(plain_page, sites, name)


class TestBrowser:
    async def test_javascript(self, page: Page, plain_page: Page) -> None:
        """
        A page's script runs in the one browser, and not in the one without JavaScript.
        """
        content = "<p>as it was</p><script>document.querySelector('p').textContent = 'changed'</script>"
        await page.set_content(content)
        await plain_page.set_content(content)
        await expect(page.locator("p")).to_have_text("changed")
        await expect(plain_page.locator("p")).to_have_text("as it was")


class TestPicture:
    async def test_sizes(self, page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        There is a picture of each width.
        """
        monkeypatch.setenv("CROSSAPP_ARTIFACTS", str(tmp_path / "new" / "folder"))
        await page.set_content("<h1>A heading</h1>")
        saved = await picture(page, "heading")
        assert saved == [tmp_path / "new" / "folder" / f"heading-{width}.png" for width in (WIDE, NARROW)]
        assert [width_of(path) for path in saved] == [WIDE, NARROW]
        assert page.viewport_size is not None
        assert page.viewport_size["width"] == WIDE

    @pytest.mark.parametrize("fits", [True, False])
    async def test_wide_content(
        self, plain_page: Page, fits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A page that scrolls sideways on a small phone is refused, and its picture is there to see why.
        """
        monkeypatch.setenv("CROSSAPP_ARTIFACTS", str(tmp_path))
        width = NARROW if fits else NARROW + 1
        await plain_page.set_content(f"<body style='margin: 0'><div style='width: {width}px'>wide</div>")
        if fits:
            await picture(plain_page, "wide")
        else:
            with pytest.raises(AssertionError, match="wide needs 321 pixels where there are 320"):
                await picture(plain_page, "wide")
        assert (tmp_path / "wide-320.png").is_file()


def width_of(path: Path) -> int:
    """
    The width of a PNG in pixels.
    """
    width: int = struct.unpack(">I", path.read_bytes()[16:20])[0]
    return width
