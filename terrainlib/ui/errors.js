// Tells Python when a download button of the page says that its file could not be made,
// and when somebody tries again.
//
// Streamlit calls the default export on mounting and again whenever its data change.

const BUTTON = '[data-testid="stDownloadButton"]';
const ERROR = '[data-testid="stDownloadButtonError"]';
const START_MS = 400; // until a click has reached the one who makes the file
const watchers = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  let watcher = watchers.get(parentElement);
  if (!watcher) {
    watcher = watch();
    watchers.set(parentElement, watcher);
  }
  watcher.shown = data.shown;
  watcher.report = () => setTriggerValue("news", true);
  return () => {
    watcher.close();
    watchers.delete(parentElement);
  };
}

function watch() {
  const seen = new WeakSet();
  const watcher = { shown: false, report: () => {}, close };
  const observer = new MutationObserver(() => {
    for (const error of document.querySelectorAll(ERROR)) {
      if (seen.has(error)) continue;
      seen.add(error);
      watcher.report();
    }
  });
  observer.observe(document.body, { childList: true, subtree: true });
  document.addEventListener("click", onClick);

  function onClick(event) {
    if (!watcher.shown || !event.target.closest(BUTTON)) return;
    setTimeout(() => watcher.report(), START_MS);
  }

  function close() {
    observer.disconnect();
    document.removeEventListener("click", onClick);
  }

  return watcher;
}
