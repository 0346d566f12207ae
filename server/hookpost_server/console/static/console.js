// What the console adds where scripts run: keys, dialogs, copying, the form's comforts. Every page works without it.
"use strict";
(() => {
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const csrf = () => JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRF-Token"];
  const say = (text) => { one("#say").textContent = text; };
  const on = (type, selector, act) => document.addEventListener(type, (event) => {
    const target = event.target.closest?.(selector);
    if (target) act(target, event);
  });

  // Copying. `data-copy-from` is fetched when asked for, so that a secret is not in the page before.
  const copy = async (button, text) => {
    try {
      await navigator.clipboard.writeText(await text());
      say(one("#say").dataset.copied);
      button.classList.add("done");
      setTimeout(() => button.classList.remove("done"), 1500);
    } catch {
      say(one("#say").dataset.notCopied);
      one("#say").className = "trouble"; // seen too: nothing else on the page tells of it
      setTimeout(() => { one("#say").className = "sr"; }, 6000);
    }
  };
  on("click", "[data-copy]", (button) => copy(button, async () => button.dataset.copy));
  on("click", "[data-copy-from]", (button) => copy(button, async () => {
    const headers = { "X-CSRF-Token": csrf(), Accept: "text/plain" };
    const answer = await fetch(button.dataset.copyFrom, { method: "POST", headers });
    if (!answer.ok || !answer.headers.get("Content-Type").startsWith("text/plain")) throw new Error("no key");
    return answer.text();
  }));

  // Dialogs: a link to a page of its own opens that page's #dialog-body here. <dialog> keeps and gives back the focus.
  const dialog = one("#dialog");
  const open = async (link) => {
    const answer = await fetch(link.href);
    const body = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("#dialog-body");
    if (!answer.ok || !body) { location.href = link.href; return; }
    one("[data-here]", body)?.setAttribute("value", location.pathname + location.search);
    dialog.replaceChildren(body);
    window.htmx?.process(dialog);
    all("details.menu[open]").forEach((menu) => { menu.open = false; });
    dialog.showModal();
  };
  on("click", "a[data-dialog]", (link, event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const menu = link.closest("details.menu");
    if (menu) one("summary", menu).focus();
    open(link);
  });
  on("click", "dialog [data-close]", (_, event) => { event.preventDefault(); dialog.close(); });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  // Menus close by themselves and are walked with the arrow keys.
  document.addEventListener("click", (event) => {
    all("details.menu[open], details.tenant[open]").forEach((each) => { if (!each.contains(event.target)) each.open = false; });
  });
  on("keydown", "details.menu", (menu, event) => {
    const items = all(".items a, .items button", menu);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape" && menu.open) { menu.open = false; one("summary", menu).focus(); event.stopPropagation(); }
    if (!step) return;
    event.preventDefault();
    menu.open = true;
    items[(items.indexOf(document.activeElement) + step + items.length) % items.length]?.focus();
  });

  // Forms: sent once, watched for changes, kept from being left by accident.
  let leaving = false;
  on("submit", "form", (form, event) => {
    leaving = true;
    if (!("once" in form.dataset)) return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    setTimeout(() => all("button", form).forEach((button) => { button.disabled = true; }));
  });
  const shape = (form) => new URLSearchParams(new FormData(form)).toString();
  const shapes = new WeakMap();
  const watch = (form) => {
    shapes.set(form, shape(form));
    const look = () => {
      if (form.dataset.dirty !== "") form.toggleAttribute("data-edited", shape(form) !== shapes.get(form));
    };
    ["input", "change", "rows"].forEach((type) => form.addEventListener(type, look));
  };
  all("form[data-watch]").forEach(watch);
  on("click", "[data-leave]", () => { leaving = true; });
  addEventListener("beforeunload", (event) => {
    if (!leaving && one("form[data-watch]:is([data-dirty], [data-edited])")) event.preventDefault();
  });
  addEventListener("pageshow", () => {
    leaving = false;
    all("form[data-sent]").forEach((form) => {
      delete form.dataset.sent;
      all("button", form).forEach((button) => { button.disabled = false; });
    });
  });
  one("#summary")?.focus();

  // Rows of pairs.
  on("click", "[data-add-row]", (button, event) => {
    event.preventDefault();
    const rows = one("[data-rows]", button.parentElement);
    const row = rows.lastElementChild.cloneNode(true);
    all(".fault", row).forEach((fault) => fault.remove());
    all("input", row).forEach((input) => {
      input.value = "";
      input.removeAttribute("aria-invalid");
      input.placeholder = input.dataset.empty ?? input.placeholder; // nothing is kept for a new row
      const label = input.getAttribute("aria-label");
      if (label) input.setAttribute("aria-label", label.replace(/\d+/, rows.children.length + 1));
    });
    row.removeAttribute("id");
    rows.append(row);
    one("input", row).focus();
    rows.dispatchEvent(new Event("rows", { bubbles: true }));
  });
  on("click", "[data-remove-row]", (button) => {
    const row = button.closest("[data-pair]"), rows = row.parentElement;
    if (rows.children.length > 1) row.remove();
    else all("input", row).forEach((input) => { input.value = ""; });
    rows.dispatchEvent(new Event("rows", { bubbles: true }));
    (one("input", rows) ?? rows).focus();
  });

  // The event picker.
  const members = (group) => all("[data-find-text] input", group);
  const mixed = () => all("[data-find-group]").forEach((group) => {
    const box = one("[data-tick-group]", group), count = members(group).filter((input) => input.checked).length;
    box.checked = count > 0 && count === members(group).length;
    box.indeterminate = count > 0 && !box.checked;
  });
  on("change", "[data-tick-group]", (box) => {
    members(box.closest("[data-find-group]")).forEach((input) => { input.checked = box.checked; });
  });
  on("change", ".picker", mixed);
  mixed();
  on("input", "[data-find]", (input) => {
    const root = one(input.dataset.find), words = input.value.toLowerCase().split(/\s+/);
    all("[data-find-text]", root).forEach((each) => {
      each.hidden = !words.every((word) => each.dataset.findText.toLowerCase().includes(word));
    });
    all("[data-find-group]", root).forEach((group) => { group.hidden = !one("[data-find-text]:not([hidden])", group); });
    one("[data-find-none]", root).hidden = Boolean(one("[data-find-text]:not([hidden])", root));
  });
  on("keydown", "[data-find]", (_, event) => { if (event.key === "Enter") event.preventDefault(); });
  const only = () => all("[data-only]").forEach((each) => {
    const [name, value] = each.dataset.only.split("=");
    each.hidden = one(`[name="${name}"]`, each.closest("form")).value !== value;
  });
  document.addEventListener("change", only);
  only();
  on("change", "[data-tick-all]", (box) => {
    all(`input[name="${box.dataset.tickAll}"]`, box.closest("form")).forEach((input) => { input.checked = box.checked; });
  });

  const when = () => all("[data-when]").forEach((button) => {
    button.disabled = !one(`input[name="${button.dataset.when}"]:checked`, button.closest("form"));
  });
  document.addEventListener("change", when);
  when();

  // Forms that are sent as soon as something is chosen; without a script they have a button. Empty fields stay at home.
  on("change", "form[data-submit]", (form) => form.requestSubmit());
  on("formdata", "form[data-submit]", (_, event) => {
    for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
  });

  // Parts of pages that come later. Addresses carry no empty fields.
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.verb !== "get") return;
    const fields = event.detail.formData;
    for (const name of [...fields.keys()]) if (fields.getAll(name).every((value) => value === "")) fields.delete(name);
  });
  // htmx comes once the page has been seen. What was typed or chosen until then is told it again.
  const typed = new Set(), note = (event) => typed.add(event.target);
  document.addEventListener("input", note);
  const late = document.createElement("script");
  late.src = document.currentScript.dataset.htmx;
  late.addEventListener("load", () => {
    document.removeEventListener("input", note);
    typed.forEach((each) => each.dispatchEvent(new Event("change", { bubbles: true })));
    document.documentElement.dataset.ready = "";
  });
  addEventListener("load", () => requestAnimationFrame(() => setTimeout(() => document.head.append(late))));

  const trouble = one("#trouble");
  let failed = null;
  ["htmx:responseError", "htmx:sendError", "htmx:timeout"].forEach((type) => document.addEventListener(type, (event) => {
    failed = event.detail.elt;
    trouble.hidden = false;
  }));
  document.addEventListener("htmx:afterSettle", () => {
    trouble.hidden = true;
    only();
    when();
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    const told = one("[data-told]", event.detail.target.parentElement ?? document)?.dataset.told;
    if (event.detail.target.id === "results" && told) say(told);
  });
  one("button", trouble).addEventListener("click", () => {
    trouble.hidden = true;
    if (failed?.isConnected) htmx.trigger(failed, failed.matches("form") ? "submit" : "load");
  });

  // Exact times in the reader's own zone, made when somebody asks: a page has many.
  on("mouseover", "time[datetime]:not([data-local])", (each) => {
    each.dataset.local = "";
    each.title += ` · ${new Date(each.dateTime).toLocaleString(document.documentElement.lang, { timeZoneName: "short" })}`;
  });

  // Keys. Single characters can be switched off on the sheet (WCAG 2.1.4).
  let prefix = "";
  const rows = () => all("[data-row]");
  const step = (by) => {
    const list = rows(), at = list.findIndex((row) => row.classList.contains("here"));
    const next = list[Math.max(0, Math.min(list.length - 1, at + by))];
    list.forEach((row) => row.classList.remove("here"));
    next?.classList.add("here");
    one("[data-open]", next ?? document)?.focus();
    next?.scrollIntoView({ block: "nearest" });
  };
  on("focusin", "[data-row]", (row) => rows().forEach((each) => each.classList.toggle("here", each === row)));
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]");
    if (event.key === "Escape" && typing) { typing.blur(); return; }
    if (typing || event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
    if (document.documentElement.dataset.keys === "off") return;
    const go = prefix === "g" ? one(`[data-go="${CSS.escape(event.key)}"]`) : null;
    prefix = event.key === "g" ? "g" : "";
    const keyed = all(`[data-key="${CSS.escape(event.key)}"]`); // those in rows are for the row that is chosen
    const target = go ?? keyed.find((each) => each.closest(".here") || !each.closest("[data-row]"));
    if (target) {
      event.preventDefault();
      if (target.matches("input")) { target.focus(); target.select(); } else target.click();
    } else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
  });
})();
