"""The style guide: every part of a page, in dev mode only."""

from __future__ import annotations

import re

from starlette.responses import Response

from tillbell.web.edge.static_files import static_files
from tillbell.web.pages.charts import ChartSeries
from tillbell.web.pages.page import SitePage, Visit

_SYMBOL = re.compile(rb'id="i-([a-z]+)"')
_PHASES = [("wait", 3_000), ("dns", 12_000), ("connect", 41_000), ("tls", 58_000)]
_NAMES = ("محمد العلي", "Ana 🧡 Petrović", "<script>alert(1)</script>", "a\u202eexe.eciovni")


async def show(visit: Visit) -> Response:
    """Show every part, with samples."""
    icons = _SYMBOL.findall(static_files()["icons.svg"].body)
    hours = range(24)
    return visit.show(
        "components.html",
        icons=[name.decode() for name in icons],
        names=_NAMES,
        sample_id="msg_06h2esry9rcc962c2c71119750",
        phases=[*_PHASES, ("first", 112_000), ("read", 4_000)],
        phases_cut=[*_PHASES, ("cut", 29_889_000)],
        hours=[f"{hour:02}:00" for hour in hours],
        series=[
            ChartSeries("accepted", [20 + hour % 9 for hour in hours]),
            ChartSeries("throttled", [hour // 20 * 4 for hour in hours]),
            ChartSeries("refused", [hour // 22 * 3 for hour in hours]),
            ChartSeries("timed-out", [hour // 23 for hour in hours]),
        ],
    )


PAGES = (SitePage("/ui/components", show, "/ui/components"),)
