// The folders of a gallery as a tree, flattened for a list.

// folders: [{name, pictures}] with the pictures directly in each. Returns [{name, label, pictures}] in the order of the
// tree, indented by depth, with the pictures of all folders in it, and without the start that all paths share. Folders
// without pictures of their own that hold a single folder share its line.
export function folderTree(folders) {
  const posix = folders.some(({name}) => name.startsWith("/") || name.includes("://"));
  const root = {name: "", label: "", pictures: 0, own: 0, inner: new Map()};
  for (const {name, pictures} of folders) insert(root, name, posix ? /(?<=\/)/ : /(?<=[/\\])/, pictures);
  let top = root;
  while (!top.own && top.inner.size === 1) [top] = top.inner.values();
  return top.own && top !== root ? lines(top, "", 0) : [...top.inner.values()].flatMap(one => lines(one, "", 0));
}

function insert(root, path, separator, pictures) {
  let folder = root, end = 0;
  folder.pictures += pictures;
  for (const part of path.split(separator)) {
    end += part.length;
    const [name, label] = [path.slice(0, end), part].map(text => text.replace(/(?<=.)[/\\]$/, ""));
    if (!folder.inner.has(label)) folder.inner.set(label, {name, label, pictures: 0, own: 0, inner: new Map()});
    folder = folder.inner.get(label);
    folder.pictures += pictures;
  }
  folder.own += pictures;
}

function lines({name, label, pictures, own, inner}, before, depth) {
  const inside = [...inner.values()];
  if (!own && inside.length === 1) return lines(inside[0], `${before}${label}/`, depth);
  const line = {name, label: "\u2003".repeat(depth) + before + label, pictures};
  return [line, ...inside.flatMap(one => lines(one, "", depth + 1))];
}
