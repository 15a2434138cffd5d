// What a browser keeps of classes: of one that it teaches the key, of one that it is in a token that it
// made up itself. Neither is ever in a link.

const KEY = "labClassKey:";
const MEMBER = "labMember:";
const passing = new Map(); // where a browser keeps nothing, as in some frames

function got(name) {
  try {
    return localStorage.getItem(name) ?? passing.get(name);
  } catch {
    return passing.get(name);
  }
}

function put(name, value) {
  passing.set(name, value);
  try {
    localStorage.setItem(name, value);
    return true;
  } catch {
    return false;
  }
}

export const keep = (code, lesson, key) => put(KEY + code, JSON.stringify({ lesson, key }));
export const taught = (code) => JSON.parse(got(KEY + code) ?? "null");

export function forget(code) {
  passing.delete(KEY + code);
  try {
    localStorage.removeItem(KEY + code);
  } catch {
    // then there was none
  }
}

// The codes of all classes that this browser teaches.
export function codes() {
  try {
    return Object.keys(localStorage)
      .filter((each) => each.startsWith(KEY))
      .map((each) => each.slice(KEY.length));
  } catch {
    return [];
  }
}

// This browser in that class; a page in the room has no https, and so no crypto.randomUUID.
export function member(code) {
  const known = got(MEMBER + code);
  if (known) return known;
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const made = [...bytes].map((each) => each.toString(16).padStart(2, "0")).join("");
  put(MEMBER + code, made);
  return made;
}

// A teacher's view that is opened anew goes to where the class is; one that goes on leads it.
const LED = "labClassLed:";

export function comesAnew(code) {
  try {
    sessionStorage.removeItem(LED + code);
  } catch {
    // then it comes anew each time
  }
}

export function arrives(code) {
  try {
    const known = sessionStorage.getItem(LED + code);
    sessionStorage.setItem(LED + code, "yes");
    return !known;
  } catch {
    return true;
  }
}
