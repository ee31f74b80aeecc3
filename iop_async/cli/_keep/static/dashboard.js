"use strict";
// Reads the page again every two seconds, and shows what is new in it.
const PAUSE = 2000;
async function refresh() {
  const lost = document.getElementById("lost");
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    const text = await answer.text();
    const page = new DOMParser().parseFromString(text, "text/html");
    document.querySelector("main").replaceWith(page.querySelector("main"));
    document.title = page.title;
    lost.hidden = true;
  } catch {
    lost.hidden = false;
  }
  setTimeout(refresh, document.hidden ? 5 * PAUSE : PAUSE);
}
setTimeout(refresh, PAUSE);
