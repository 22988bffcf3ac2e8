// Draws the figures of the page in its theme's colours, and again when the theme changes.
(function () {
  "use strict";
  const root = document.documentElement;
  const figures = JSON.parse(document.getElementById("figures-data").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const chosen = root.dataset.chosen;

  function colours(value, style) {
    if (typeof value === "string") {
      return value[0] === "@" ? style.getPropertyValue("--" + value.slice(1)).trim() || value : value;
    }
    if (Array.isArray(value)) return value.map((item) => colours(item, style));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, colours(item, style)]));
    }
    return value;
  }

  function axis(own, narrow) {
    return Object.assign({ gridcolor: "@grid", zerolinecolor: "@line", linecolor: "@line", automargin: true,
      ticks: "", tickfont: { size: narrow ? 11 : 12 } }, own);
  }

  function draw(figure) {
    const element = document.getElementById(figure.id);
    const narrow = element.clientWidth < 560;
    const layout = Object.assign({
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "x unified", autosize: true,
      margin: { l: 4, r: 8, t: figure.layout.showlegend ? 34 : 12, b: 8 },
      font: { family: getComputedStyle(document.body).fontFamily, color: "@muted", size: 12 },
      hoverlabel: { bgcolor: "@surface", bordercolor: "@line", font: { color: "@text", size: 13 } },
      legend: { orientation: "h", x: 0, y: 1.02, xanchor: "left", yanchor: "bottom" },
      dragmode: narrow || window.matchMedia("(pointer: coarse)").matches ? false : "zoom",
    }, figure.layout);
    for (const name of ["xaxis", "yaxis", "yaxis2"]) {
      if (name !== "yaxis2" || figure.layout.yaxis2) layout[name] = axis(figure.layout[name], narrow);
    }
    if (figure.id === "chart-monthly") layout.font.size = narrow ? 9 : 12;
    const style = getComputedStyle(root);
    return Plotly.react(element, colours(figure.data, style), colours(layout, style),
      { responsive: true, displayModeBar: false, displaylogo: false });
  }

  const select = document.getElementById("instrument");

  function drawTrades() {
    const figure = figures.trades[select ? Number(select.value) : 0];
    if (figure) draw(figure);
  }

  function paint() {
    if (chosen === "auto") root.dataset.theme = dark.matches ? "dark" : "light";
    figures.charts.forEach(draw);
    drawTrades();
  }

  if (select) select.addEventListener("change", drawTrades);
  dark.addEventListener("change", paint);
  paint();
})();
