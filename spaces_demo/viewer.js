// Zoom and pan of the ECG paper, and pages pasted from the clipboard. Listens on the document: panels come and go.
(() => {
  const MM = 96 / 25.4; // CSS pixels in a true millimetre
  const paper = (viewer) => viewer.querySelector("svg.paper");

  function zoom(viewer, action) {
    const svg = paper(viewer), view = viewer.querySelector(".window");
    const now = svg.getBoundingClientRect().width;
    const middle = [(view.scrollLeft + view.clientWidth / 2) / now,
                    (view.scrollTop + view.clientHeight / 2) / svg.getBoundingClientRect().height];
    const wide = { in: now * 1.3, out: now / 1.3, true: svg.dataset.mm * MM, fit: view.clientWidth }[action];
    const width = Math.min(Math.max(wide, view.clientWidth), 12 * svg.dataset.mm * MM);
    // Fitted to the width all leads are seen; what is larger is moved about in a window.
    const beyond = width > view.clientWidth;
    view.style.maxHeight = beyond ? "82vh" : "";
    svg.style.width = beyond ? width + "px" : "";
    const then = svg.getBoundingClientRect();
    view.scrollLeft = middle[0] * then.width - view.clientWidth / 2;
    view.scrollTop = middle[1] * then.height - view.clientHeight / 2;
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-zoom]");
    if (button) zoom(button.closest(".viewer"), button.dataset.zoom);
  });

  document.addEventListener("keydown", (event) => {
    const action = { "+": "in", "=": "in", "-": "out", "0": "fit", "1": "true" }[event.key];
    if (action && event.target.matches(".viewer .window")) {
      event.preventDefault();
      zoom(event.target.closest(".viewer"), action);
    }
  });

  document.addEventListener("wheel", (event) => {
    const view = event.ctrlKey && event.target.closest(".viewer .window");
    if (!view) return;
    event.preventDefault();
    zoom(view.closest(".viewer"), event.deltaY < 0 ? "in" : "out");
  }, { passive: false });

  let held = null;
  document.addEventListener("pointerdown", (event) => {
    const view = event.pointerType === "mouse" && event.button === 0 && event.target.closest(".viewer .window");
    if (view) held = { view, x: event.clientX + view.scrollLeft, y: event.clientY + view.scrollTop };
  });
  document.addEventListener("pointermove", (event) => {
    if (!held) return;
    held.view.scrollLeft = held.x - event.clientX;
    held.view.scrollTop = held.y - event.clientY;
  });
  document.addEventListener("pointerup", () => { held = null; });

  document.addEventListener("paste", (event) => {
    const files = event.clipboardData ? event.clipboardData.files : [];
    const input = document.querySelector("#page-file input[type=file]");
    if (!files.length || !input) return;
    event.preventDefault();
    const given = new DataTransfer();
    given.items.add(files[0]);
    input.files = given.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
})();
