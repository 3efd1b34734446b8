// Keeps what is on the page current: the server names elements and their new text.
// Without this module every page still works; it is only as old as its last load.
const elements = (key) => document.querySelectorAll(`[data-live="${CSS.escape(key)}"]`);

const show = (key, text) => {
  for (const element of elements(key)) {
    if (element.textContent === text) continue;
    element.textContent = text;
    element.classList.remove("changed");
    void element.offsetWidth;
    element.classList.add("changed");
  }
};

if (document.querySelector("[data-live]")) {
  const source = new EventSource("/console/live");
  source.addEventListener("text", (event) => {
    for (const [key, text] of Object.entries(JSON.parse(event.data))) show(key, text);
  });
  source.addEventListener("reload", () => location.reload());
}
