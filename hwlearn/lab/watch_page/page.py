"""The page of one visitor: its elements, and how they follow the run."""

from __future__ import annotations

import json
from html import escape
from typing import Any, Final

from nicegui import run, ui

from hwlearn.errors import HwlearnError
from hwlearn.lab.watch_page.charts import learning_curve, predicted_against_target
from hwlearn.lab.watch_page.network_panels import NetworkPanel, values_panel
from hwlearn.lab.watch_page.summary import alarm, badge, header, health_table, provenance_table, tiles
from hwlearn.lab.watch_page.theme import DARK, LIGHT, Palette, style_sheet
from hwlearn.lab.watching.follower import RunFollower, RunView
from hwlearn.lab.watching.sample import SampleOnNetwork

_PERIOD_S: Final = 1.0
_MOST_ROWS: Final = 10**9


async def build_page(follower: RunFollower) -> None:
    """Build the page of a new visitor."""
    ui.add_css(style_sheet())
    page = _Page(follower)
    await run.io_bound(follower.poll)
    await page.show()
    ui.timer(_PERIOD_S, page.refresh)
    await ui.context.client.connected(timeout=30)
    await page.choose_theme()


class _Chart:
    """A chart that is replaced as a whole; a text is shown while there is nothing to draw."""

    def __init__(self, name: str, on_click: Any = None, tall: bool = False) -> None:
        self._chart = (
            ui.echart({}, on_point_click=on_click)
            .classes("w-chart w-map" if tall else "w-chart")
            .props(f"data-part={name}")
        )
        self._empty = ui.html("", sanitize=False).classes("w-empty")
        self._last = ""

    def hide(self) -> None:
        self._chart.set_visibility(False)
        self._empty.set_visibility(False)

    def show(self, options: dict[str, Any] | None, text: str = "") -> None:
        self._chart.set_visibility(options is not None)
        self._empty.set_visibility(options is None)
        if options is None:
            self._empty.set_content(text)
            return
        new = json.dumps(options)
        if new != self._last:
            self._last = new
            self._chart.options.clear()
            self._chart.options.update(options)
            self._chart.update()


class _Page:
    """Elements of the page of one visitor."""

    def __init__(self, follower: RunFollower) -> None:
        self._follower, self._version, self._shown_of = follower, -1, ""
        self._palette: Palette = LIGHT
        self._dark = ui.dark_mode(None)
        self._row: int | None = None
        self._follow_worst = True
        with ui.element("main").classes("w-page"):
            with ui.element("header").classes("w-head"):
                self._header = _html("header")
                with ui.element("div").classes("w-badges"):
                    self._badge = _html("state")
                    self._theme = ui.element("button").classes("w-theme").props("type=button data-part=theme")
                    with self._theme:
                        self._theme_text = ui.html("Dark", sanitize=False, tag="span")
                    self._theme.on("click", self._toggle_theme)
            self._alarm = _html("outputs")
            self._error = _html("error").classes("w-note")
            self._waiting = _html("waiting").classes("w-note")
            self._body = ui.element("div").style("display:contents")
            with self._body:
                self._tiles = _html("tiles").classes("w-tiles")
                with ui.element("div").classes("w-grid"):
                    with _Panel("Learning curve") as self._curve_text:
                        self._curve = _Chart("curve")
                    with _Panel("Predicted against target") as self._prediction_text:
                        self._prediction = _Chart("prediction", self._clicked)
                    with _Panel("") as self._values_text:
                        self._values = _NetworkView("values")
                    with _Panel("One sample on the network") as self._sample_text:
                        self._picker()
                        self._sample_facts = _html("sample-facts").classes("s")
                        self._sample = _NetworkView("sample")
                    with _Panel("Health of the gradient") as self._health_text:
                        self._health = _html("health").classes("w-scroll")
                    with _Panel("Bench and provenance") as self._provenance_text:
                        self._provenance = _html("provenance").classes("w-scroll")

    def _picker(self) -> None:
        with ui.element("div").classes("w-picker"):
            _button("◀", "previous", lambda: self._step(-1), "previous sample")
            self._number = ui.number(value=None, min=0, step=1, format="%d", on_change=self._typed).props(
                'dense outlined aria-label="row of the training set" data-part=row debounce=300'
            )
            _button("▶", "next", lambda: self._step(1), "next sample")
            _button("Largest cost", "worst", self._worst, "the sample with the largest cost, also as it changes")

    # --- what is shown --------------------------------------------------------------------------------

    async def refresh(self) -> None:
        """Read the run again, and show what is new."""
        version = await run.io_bound(self._follower.poll)
        if version != self._version:
            await self.show()

    async def show(self) -> None:
        """Show the last view of the run."""
        view, error = self._follower.view, self._follower.error
        self._version = self._follower.version
        self._error.set_visibility(bool(error))
        self._error.set_content(f"The run cannot be read: {escape(error)}" if error else "")
        self._waiting.set_visibility(view is None and not error)
        self._waiting.set_content(
            f"Waiting for a run to begin: {escape(self._follower.text)}. "
            "Until then nothing is known of the outputs: they may be on."
        )
        self._body.set_visibility(view is not None)
        self._header.set_content(header(view, self._follower.text))
        self._badge.set_content(badge(view))
        text = alarm(view)
        self._alarm.set_content(text)
        self._alarm.set_visibility(bool(text))
        if view is not None:
            await self._show_run(view)

    async def _show_run(self, view: RunView) -> None:
        if view.name != self._shown_of:
            self._shown_of, self._row, self._follow_worst = view.name, None, True
        self._tiles.set_content(tiles(view))
        self._curve_text.set_content("Measured scores are solid lines, true scores of a simulation are dotted.")
        self._curve.show(learning_curve(view, self._palette) if view.steps else None, "No batch was measured yet.")
        if self._follow_worst or self._row is None:
            self._row = max(view.readings, key=lambda row: view.readings[row].cost, default=None)
        self._show_prediction(view)
        panel, text = values_panel(view, self._palette)
        names = {kind.parameter.name for kind in view.definition.kinds}
        kind = names.pop() if len(names) == 1 else "value"
        self._values_text.set_content(f"<h2>{escape(kind.capitalize())} map</h2>{text}")
        self._values.show(panel)
        await self._show_sample(view)
        self._health_text.set_content("Of the last epoch that was scored.")
        self._health.set_content(health_table(view))
        self._provenance_text.set_content("As the run has recorded it.")
        self._provenance.set_content(provenance_table(view))

    def _show_prediction(self, view: RunView) -> None:
        found = view.prediction
        if found is None:
            reason = "No reading was stored yet."
            if not view.readings_kept:
                reason = 'This run keeps no readings ([run] keep = "summary").'
            elif view.readings:
                reason = f"The targets cannot be read: {escape(view.definition.missing)}"
            self._prediction_text.set_content("")
            self._prediction.show(None, reason)
            return
        kind = (
            "Classes"
            if found.classes
            else "Differences of output pairs"
            if view.facts.get("output_pairs")
            else "Outputs"
        )
        self._prediction_text.set_content(
            f"{kind} of the last reading of {len(found.rows)} training samples"
            + ("." if found.classes else "; a click picks a sample.")
        )
        noun = "pair" if view.facts.get("output_pairs") else "output"
        self._prediction.show(predicted_against_target(found, self._palette, self._row, noun))

    async def _show_sample(self, view: RunView) -> None:
        sample: SampleOnNetwork | None = None
        error = ""
        row = self._row
        if row is not None:
            try:
                sample = await run.io_bound(self._follower.sample, row)
            except HwlearnError as failure:
                error = str(failure)
            if sample is None and not error and view.readings:
                error = f"Sample {row} was not measured in the last batches."
        if row != self._row:  # another sample was chosen meanwhile
            return
        if self._number.value != self._row:
            self._number.set_value(self._row)
        panel = NetworkPanel.of_sample(view, sample, self._palette, error)
        self._sample_text.set_content(panel.title)
        self._sample_facts.set_content(panel.facts)
        self._sample.show(panel)

    # --- what a visitor does --------------------------------------------------------------------------

    async def _choose(self, row: int | None, follow_worst: bool = False) -> None:
        self._row, self._follow_worst = row, follow_worst
        view = self._follower.view
        if view is not None:
            if follow_worst:
                self._row = max(view.readings, key=lambda one: view.readings[one].cost, default=None)
            self._show_prediction(view)
            await self._show_sample(view)

    async def _worst(self) -> None:
        await self._choose(None, follow_worst=True)

    async def _step(self, by: int) -> None:
        view = self._follower.view
        rows = [] if view is None else list(view.readings)
        if rows:
            place = rows.index(self._row) if self._row in rows else 0
            await self._choose(rows[(place + by) % len(rows)])

    async def _typed(self, event: Any) -> None:
        value = event.value
        if value is not None and abs(value) < _MOST_ROWS and int(value) != self._row:
            await self._choose(int(value))

    async def _clicked(self, event: Any) -> None:
        data = event.data
        if isinstance(data, dict) and isinstance(data.get("row"), int):
            await self._choose(data["row"])

    async def choose_theme(self) -> None:
        """Take the theme that the visitor's system prefers."""
        dark = await ui.run_javascript('window.matchMedia("(prefers-color-scheme: dark)").matches', timeout=10)
        await self._set_theme(bool(dark))

    async def _toggle_theme(self) -> None:
        await self._set_theme(self._palette is LIGHT)

    async def _set_theme(self, dark: bool) -> None:
        self._palette = DARK if dark else LIGHT
        self._dark.set_value(dark)
        self._theme_text.set_content("Light" if dark else "Dark")
        await self.show()


class _NetworkView:
    """A drawing for small networks, a heat map for large ones."""

    def __init__(self, name: str) -> None:
        self._drawing = _html(name).classes("w-drawing")
        self._chart = _Chart(f"{name}-map", tall=True)

    def show(self, panel: NetworkPanel) -> None:
        self._drawing.set_visibility(panel.drawing is not None)
        if panel.drawing is not None:
            self._drawing.set_content(panel.drawing)
        self._chart.show(panel.options, panel.empty)
        if panel.drawing is not None:
            self._chart.hide()


class _Panel:
    """A panel with a title and a line below it; what is built in its block is inside."""

    def __init__(self, title: str) -> None:
        self._element = ui.element("section").classes("w-panel")
        with self._element:
            if title:
                ui.html(escape(title), sanitize=False, tag="h2")
            self._line = ui.html("", sanitize=False).classes("s")

    def __enter__(self) -> ui.html:
        self._element.__enter__()
        return self._line

    def __exit__(self, *error: object) -> None:
        self._element.__exit__(*error)


def _html(part: str) -> ui.html:
    return ui.html("", sanitize=False).props(f"data-part={part}")


def _button(text: str, part: str, action: Any, label: str) -> None:
    button = ui.element("button").props(f'type=button data-part={part} aria-label="{label}" title="{label}"')
    with button:
        ui.html(escape(text), sanitize=False, tag="span")
    button.on("click", action)
