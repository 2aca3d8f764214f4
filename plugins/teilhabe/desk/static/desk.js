"use strict";
// Comfort only: every page works without this file, dragging a file aside.

document.documentElement.classList.add("js");

for (const field of document.querySelectorAll("[data-submit]")) {
  field.addEventListener("change", () => field.form.requestSubmit());
}

// A long series is read from its end.
for (const box of document.querySelectorAll("[data-end]")) {
  box.scrollLeft = box.scrollWidth;
}

for (const zone of document.querySelectorAll("[data-drop]")) {
  const input = zone.querySelector("input[type=file]");
  const name = zone.querySelector("[data-name]");
  const show = () => {
    name.textContent = input.files.length ? Array.from(input.files, (file) => file.name).join(", ") : "";
  };
  input.addEventListener("change", show);
  for (const kind of ["dragenter", "dragover"]) {
    zone.addEventListener(kind, (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
  }
  for (const kind of ["dragleave", "drop"]) {
    zone.addEventListener(kind, () => zone.classList.remove("over"));
  }
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) {
      input.files = event.dataTransfer.files;
      show();
    }
  });
}

// A double click must not act twice.
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", () => {
    for (const button of form.querySelectorAll("button")) {
      setTimeout(() => { button.disabled = true; }, 0);
    }
  });
}
window.addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("form[method=post] button")) {
    button.disabled = false;
  }
});

// A file that was handed in: ask until there is a verdict, then show it.
const waiting = document.querySelector("[data-poll]");
if (waiting) {
  const ask = async () => {
    try {
      const answer = await fetch(waiting.dataset.poll, { headers: { Accept: "application/json" } });
      if (answer.ok && (await answer.json()).step !== waiting.dataset.step) {
        location.reload();
        return;
      }
    } catch {
      // The next attempt may succeed.
    }
    setTimeout(ask, 2000);
  };
  setTimeout(ask, 1500);
}
