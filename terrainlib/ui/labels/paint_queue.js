// What was painted and is not known to the server yet, and what can be taken back.
//
// An operation is {id, deed: "add" | "remove", stroke | stroke_id}. It stays here until
// the server says that it knows it, and in the tab's memory, so that neither a server
// that dies nor a reload loses it.

const BATCH = 200; // operations sent at once

/** Do operations to a list of strokes; each counts once. */
function afterOperations(strokes, operations) {
  const result = new Map(strokes.map((stroke) => [stroke.id, stroke]));
  for (const { deed, stroke, stroke_id: id } of operations) {
    if (deed === "remove") result.delete(id);
    else if (!result.has(stroke.id)) result.set(stroke.id, stroke);
  }
  return [...result.values()];
}

/**
 * Return the queue of one image.
 *
 * @param storage Where it survives a reload: `getItem`, `setItem` and `removeItem`.
 * @param name Its name there.
 * @param newId Returns a new id.
 */
function createQueue(storage, name, newId) {
  let waiting = load();
  let known = []; // the server's strokes
  const past = []; // steps: {removed: strokes, added: strokes}
  const future = [];
  return {
    get strokes() {
      return afterOperations(known, waiting);
    },
    get batch() {
      return waiting.slice(0, BATCH);
    },
    get waiting() {
      return waiting.length;
    },
    get canUndo() {
      return past.length > 0;
    },
    get canRedo() {
      return future.length > 0;
    },
    add: (...added) => doNew({ added, removed: [] }),
    clear() {
      const removed = this.strokes;
      if (removed.length) doNew({ added: [], removed });
    },
    undo: () => turn(past, future, true),
    redo: () => turn(future, past, false),
    receive(strokes, done) {
      known = strokes;
      const ids = new Set(done);
      if (waiting.some(({ id }) => ids.has(id))) {
        waiting = waiting.filter(({ id }) => !ids.has(id));
        keep();
      }
    },
  };

  function doNew(step) {
    past.push(step);
    future.length = 0;
    send(step.removed, step.added);
  }

  function turn(from, to, back) {
    const step = from.pop();
    if (!step) return null;
    to.push(step);
    if (back) send(step.added, step.removed);
    else send(step.removed, step.added);
    return step;
  }

  function send(removed, added) {
    for (const stroke of removed) waiting.push({ id: newId(), deed: "remove", stroke_id: stroke.id });
    for (const stroke of added) waiting.push({ id: newId(), deed: "add", stroke });
    keep();
  }

  function load() {
    try {
      const found = JSON.parse(storage.getItem(name));
      return Array.isArray(found) ? found : [];
    } catch {
      return []; // no storage here, or something else in it
    }
  }

  function keep() {
    try {
      if (waiting.length) storage.setItem(name, JSON.stringify(waiting));
      else storage.removeItem(name);
    } catch {
      // Full, or forbidden: then it lives as long as the page.
    }
  }
}
