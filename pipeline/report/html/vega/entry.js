// What the report's charts need of Vega, in one file that reaches for nothing: no eval, no loader.
export { parse, View, Warn } from "vega";
export { compile } from "vega-lite";
export { expressionInterpreter } from "vega-interpreter";
export { Handler } from "vega-tooltip";
