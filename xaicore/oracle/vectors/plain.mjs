// The runner of plain.py in JavaScript, in rationals of BigInt:  node plain.mjs FILE.json ...
import { readFileSync } from "node:fs";

const gcd = (a, b) => (b ? gcd(b, a % b) : a < 0n ? -a : a);
const Q = (p, q) => { const g = gcd(p, q) * (q < 0n ? -1n : 1n); return p ? [p / g, q / g] : [0n, 1n]; };
const read = (t) => { const [p, q = "1"] = String(t?.rational ?? t).split("/"); return Q(BigInt(p), BigInt(q)); };
const add = ([a, b], [c, d]) => Q(a * d + c * b, b * d), mul = ([a, b], [c, d]) => Q(a * c, b * d);
const div = (x, [c, d]) => (c ? mul(x, Q(d, c)) : [0n, 1n]), zero = [0n, 1n], one = [1n, 1n], sum = (xs) => xs.reduce(add, zero);
const MINE = ["gradient", "gradient_x_input", "lrp.zero", "lrp.epsilon"];

function explain(v, sample) {
  const { nodes, params } = v.model, lrp = v.method.startsWith("lrp"), value = { x: sample.map(read) }, eps = read(v.settings?.eps ?? 0);
  for (const n of nodes) {
    const x = value[n.inputs[0]], [w, b] = n.inputs.slice(1).map((p) => params[p]);
    if (!["Dense", "ReLU"].includes(n.op) || !x || n.inputs.length !== 1 + Boolean(w) + Boolean(b)) return null;
    value[n.name] = n.op === "ReLU" ? x.map((t) => (t[0] > 0n ? t : zero))
      : w.map((row, j) => add(sum(row.map((c, i) => mul(read(c), x[i]))), b ? read(b[j]) : zero));
  }
  let signal = value[nodes.at(-1).name].map((t, j) => (j === v.target ? (lrp ? t : one) : zero));
  for (const n of [...nodes].reverse()) {
    const x = value[n.inputs[0]], y = value[n.name], w = params[n.inputs[1]];
    if (n.op === "ReLU") { if (!lrp) signal = signal.map((s, i) => (x[i][0] > 0n ? s : zero)); continue; }
    const share = lrp ? signal.map((s, j) => div(s, add(y[j], y[j][0] < 0n ? [-eps[0], eps[1]] : eps))) : signal;
    signal = x.map((t, i) => mul(sum(w.map((row, j) => mul(read(row[i]), share[j]))), lrp ? t : one));
  }
  return v.method === "gradient_x_input" ? signal.map((s, i) => mul(s, value.x[i])) : signal;
}

const counts = { true: 0, false: 0, null: 0 };
for (const path of process.argv.slice(2)) for (const v of JSON.parse(readFileSync(path, "utf8")).vectors) {
  const fits = MINE.includes(v.method) && v.arithmetic === "exact" && Number.isInteger(v.target) && v.verdict !== "reject"
    && Object.keys(v.settings ?? {}).every((k) => k === "eps");
  const got = (fits ? v.x.x ?? [] : []).map((row) => (Array.isArray(row[0]) ? null : explain(v, row)));
  const same = !got.length || got.includes(null) ? null : got.every((row, n) => row.every((g, i) => String(g) === String(read(v.expected.x[n][i]))));
  counts[same]++;
  if (same === false) console.log(v.id, "differs:", got.map((row) => row.map(([p, q]) => `${p}/${q}`).join(" ")).join("; "));
}
console.log(`${counts.true} agree, ${counts.false} differ, ${counts.null} not for this runner`);
process.exit(counts.false ? 1 : counts.true ? 0 : 5);
