// A shelf: what Python sends to another component of the page, under a name.

const held = new WeakMap();

export default function ({ data, parentElement }) {
  const shelves = (window.terrainShelves ??= new Map());
  const before = held.get(parentElement);
  if (before && before !== data.name) shelves.delete(before);
  held.set(parentElement, data.name);
  shelves.set(data.name, data);
  window.dispatchEvent(new Event("terrain-shelf"));
  return () => shelves.delete(held.get(parentElement));
}
