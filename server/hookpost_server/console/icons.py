"""Icons, drawn by hand for this console on a grid of 16 units; the style sheet gives them line and colour."""

from __future__ import annotations

ICONS = {
    "mark": '<path d="M5 2v7.2a3.3 3.3 0 1 0 6.6 0V8M11.6 8 9.4 9.6M11.6 8l1.9 1.9"/><circle cx="5" cy="2" r=".6"/>',
    "webhooks": '<path d="M6 5.5a2.5 2.5 0 1 1 3.7 2.2l2 3.4M10.3 12.2a2.2 2.2 0 1 0 1.4-1.3M7.2 7.2l-2 3.6"/>'
    '<circle cx="4" cy="12" r="2"/>',
    "events": '<path d="M9 1.5 3.5 9H8l-1 5.5L12.5 7H8z"/>',
    "live": '<circle cx="8" cy="8" r="1.5"/><path d="M4.8 11.2a4.5 4.5 0 0 1 0-6.4M11.2 4.8a4.5 4.5 0 0 1 0 6.4'
    'M2.7 13.3a7.5 7.5 0 0 1 0-10.6M13.3 2.7a7.5 7.5 0 0 1 0 10.6"/>',
    "catalogue": '<path d="M3 2.5h7.5a2 2 0 0 1 2 2v9H5a2 2 0 0 1-2-2zM3 11.5a2 2 0 0 1 2-2h7.5M6 5.5h4"/>',
    "system": '<rect x="2" y="2.5" width="12" height="4.5" rx="1.2"/>'
    '<rect x="2" y="9" width="12" height="4.5" rx="1.2"/><path d="M4.5 4.8h.01M4.5 11.2h.01M7 4.8h4M7 11.2h4"/>',
    "tenant": '<path d="M2.5 13.5v-11h7v11M9.5 6h4v7.5M1.5 13.5h13M4.8 5h2.4M4.8 8h2.4M4.8 11h2.4"/>',
    "theme-auto": '<circle cx="8" cy="8" r="5.5"/><path class="full" d="M8 2.5a5.5 5.5 0 0 1 0 11z"/>',
    "theme-light": '<circle cx="8" cy="8" r="2.8"/><path d="M8 1.2v1.6M8 13.2v1.6M1.2 8h1.6M13.2 8h1.6M3.2 3.2l1.1 1.1'
    'M11.7 11.7l1.1 1.1M3.2 12.8l1.1-1.1M11.7 4.3l1.1-1.1"/>',
    "theme-dark": '<path d="M13 9.6A5.5 5.5 0 0 1 6.4 3a5.5 5.5 0 1 0 6.6 6.6z"/>',
    "check": '<circle cx="8" cy="8" r="6"/><path d="m5.4 8.2 1.8 1.8 3.4-3.8"/>',
    "alert": '<path d="M8 2.2 14.3 13H1.7zM8 6.5v3M8 11.4h.01"/>',
    "cross": '<path d="M5.5 2h5L14 5.5v5L10.5 14h-5L2 10.5v-5zM6 6l4 4M10 6l-4 4"/>',
    "clock": '<circle cx="8" cy="8" r="6"/><path d="M8 4.8V8l2.2 1.6"/>',
    "pause": '<circle cx="8" cy="8" r="6"/><path d="M6.5 6v4M9.5 6v4"/>',
    "broad": '<path d="M8 2v12M2.8 5l10.4 6M13.2 5 2.8 11"/>',
    "copy": '<rect x="5.5" y="5.5" width="8" height="8" rx="1.5"/><path d="M10.5 5.5v-2a1 1 0 0 0-1-1h-6a1 1 0 0 0-1 1'
    'v6a1 1 0 0 0 1 1h2"/>',
    "more": '<path d="M3.5 8h.01M8 8h.01M12.5 8h.01"/>',
    "plus": '<path d="M8 3v10M3 8h10"/>',
    "search": '<circle cx="7" cy="7" r="4.2"/><path d="m10.2 10.2 3.3 3.3"/>',
    "eye": '<path d="M1.5 8S4 3.8 8 3.8 14.5 8 14.5 8 12 12.2 8 12.2 1.5 8 1.5 8z"/><circle cx="8" cy="8" r="1.9"/>',
    "key": '<circle cx="5" cy="11" r="2.8"/><path d="m7 9 6.2-6.2M10.8 5.2l2 2M8.9 7.1l1.4 1.4"/>',
    "back": '<path d="M9.5 3.5 5 8l4.5 4.5"/>',
    "next": '<path d="M6.5 3.5 11 8l-4.5 4.5"/>',
    "send": '<path d="M14 2 7 9M14 2 9.5 14 7 9 2 6.5z"/>',
    "again": '<path d="M13 8a5 5 0 1 1-1.6-3.7M13 2.5v3h-3"/>',
    "down": '<path d="M8 2.5v8M4.8 7.5 8 10.7l3.2-3.2M2.5 13.5h11"/>',
    "edit": '<path d="m3 10.5-.6 3.1 3.1-.6 7.6-7.6-2.5-2.5z"/>',
    "trash": '<path d="M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5l.6 9h5.8l.6-9M6.8 7v4M9.2 7v4"/>',
}
