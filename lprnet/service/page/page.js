"use strict";
// Sends pictures to POST /v1/read and shows what was read. No other server is asked anything.

const ALTERNATIVES = 3;
const AT_ONCE = 8; // pictures in one request
const UNSURE = 0.9;

const find = (id) => document.getElementById(id);
const percent = (p) => (p < 0.005 ? "< 1 %" : `${Math.round(100 * p)} %`);
const say = (text) => { find("status").textContent = text; };

let refused = []; // pictures that wait for a token

function child(parent, tag, text, className = "") {
  const node = document.createElement(tag);
  node.textContent = text;
  node.className = className;
  parent.append(node);
  return node;
}

function show(file, answer, milliseconds) {
  const item = find("result").content.cloneNode(true);
  const picture = item.querySelector("img");
  picture.src = URL.createObjectURL(file);
  picture.alt = `The picture ${file.name}`;
  picture.onload = () => URL.revokeObjectURL(picture.src);
  picture.onerror = () => { URL.revokeObjectURL(picture.src); picture.remove(); };
  const note = item.querySelector(".note");
  if (answer.error) {
    item.querySelector(".text").remove();
    note.textContent = `${file.name}: ${answer.error}`;
    note.className = "note bad";
  } else {
    item.querySelector(".text").textContent = answer.text || "no text";
    note.textContent = `${percent(answer.confidence)} sure, ${milliseconds} ms`;
    if (answer.rejected) child(note, "span", " – too unsure to rely on", "bad");
    for (const one of answer.characters) {
      const cell = child(item.querySelector(".characters"), "li", "",
        one.confidence < UNSURE ? "unsure" : "");
      child(cell, "b", one.text);
      child(cell, "small", percent(one.confidence));
    }
    const others = item.querySelector(".others");
    others.hidden = answer.alternatives.length === 0;
    for (const one of answer.alternatives) {
      child(others.querySelector("ol"), "li", `${one.text} (${percent(one.confidence)})`);
    }
  }
  find("results").prepend(item);
}

async function send(files) {
  const form = new FormData();
  for (const file of files) form.append("images", file);
  const token = find("token").value;
  const began = performance.now();
  const response = await fetch(`v1/read?alternatives=${ALTERNATIVES}`, {
    method: "POST",
    body: form,
    headers: token ? { Authorization: `Bearer ${token}` } : {},
  });
  const answer = await response.json().catch(() => ({ detail: response.statusText }));
  if (!response.ok) {
    const error = new Error(answer.detail);
    error.status = response.status;
    throw error;
  }
  const milliseconds = Math.round(performance.now() - began);
  answer.images.forEach((image, index) => show(files[index], image, milliseconds));
}

async function read(files) {
  const all = [...files];
  let done = 0;
  try {
    while (done < all.length) {
      say(`Reading ${done + 1} of ${all.length} …`);
      await send(all.slice(done, done + AT_ONCE));
      done = Math.min(done + AT_ONCE, all.length);
    }
    find("ask-token").hidden = true;
    const first = find("results").querySelector(".text, .note");
    say(all.length === 1 ? `Read: ${first.textContent}` : `${all.length} pictures are done.`);
  } catch (error) {
    const unanswered = error.status === undefined;
    say(unanswered ? "The service does not answer; try again." : `Not read: ${error.message}.`);
    if (error.status === 401) {
      refused = all.slice(done);
      find("ask-token").hidden = false;
      find("token").focus();
    }
  }
}

for (const id of ["files", "camera"]) {
  find(id).addEventListener("change", (event) => {
    const files = [...event.target.files];
    event.target.value = ""; // so that the same picture can be chosen again
    read(files);
  });
}
find("form").addEventListener("submit", (event) => {
  event.preventDefault();
  read(refused);
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) read(event.clipboardData.files);
});
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    find("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) read(event.dataTransfer.files);
  });
}
