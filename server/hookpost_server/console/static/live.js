// The live page: a stream of rows that the server writes. Without this script the page is loaded again by its link.
"use strict";
(() => {
  const MOST = 200; // rows kept on the page, and held while paused
  const SAY_EVERY = 10000; // milliseconds between two summaries for screen readers
  const pulse = document.querySelector("#pulse");
  const words = pulse.querySelector("span");
  const table = document.querySelector("#rows");
  const body = table.tBodies[0];
  const none = document.querySelector("#live-none");
  const pause = document.querySelector("#pause");
  const said = document.querySelector("#live-said");
  let source = null, last = pulse.dataset.after, paused = false, held = [], changes = 0, leftOut = 0;

  const tell = (state, text) => { pulse.dataset.state = state; words.textContent = text; };
  const told = () => {
    if (paused) tell("paused", held.length ? pulse.dataset.held.replace("{n}", held.length >= MOST ? `${MOST}+` : held.length) : pulse.dataset.paused);
    else tell("open", leftOut ? pulse.dataset.leftOut.replace("{n}", leftOut) : pulse.dataset.open);
  };
  const put = (html) => {
    const holder = document.createElement("table");
    holder.innerHTML = html; // of our own template, escaped there
    const row = holder.querySelector("tr");
    document.getElementById(row.id)?.remove();
    row.classList.add("new");
    body.prepend(row);
    while (body.rows.length > MOST) body.lastElementChild.remove();
    none.hidden = true;
    table.hidden = false;
  };
  const open = () => {
    source?.close();
    const address = new URL(pulse.dataset.stream, location.href);
    address.searchParams.set("after", last);
    source = new EventSource(address);
    source.addEventListener("open", told);
    source.addEventListener("error", () => {
      tell("lost", pulse.dataset.lost);
      if (source.readyState === EventSource.CLOSED) setTimeout(look, 4000); // a page instead of a stream
    });
    const heard = (event) => { if (event.lastEventId) last = event.lastEventId; };
    source.addEventListener("beat", heard);
    source.addEventListener("row", (event) => {
      heard(event);
      changes += 1;
      if (paused) { held = [event.data, ...held].slice(0, MOST); told(); } else put(event.data);
    });
    source.addEventListener("left-out", (event) => { leftOut += Number(event.data); told(); });
    source.addEventListener("gap", () => tell("lost", pulse.dataset.gap));
    source.addEventListener("again", open);
  };
  const look = async () => { // is it the page to sign in?
    const answer = await fetch(location.href, { headers: { "X-Poll": "true" } }).catch(() => null);
    if (answer?.redirected) location.reload(); else open();
  };
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", paused);
    pause.textContent = paused ? pause.dataset.off : pause.dataset.on;
    if (!paused) { held.reverse().forEach(put); held = []; }
    told();
  });
  setInterval(() => {
    if (changes && !paused) said.textContent = said.dataset.changes.replace("{n}", changes);
    changes = 0;
  }, SAY_EVERY);
  table.hidden = !body.rows.length;
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  open();
})();
