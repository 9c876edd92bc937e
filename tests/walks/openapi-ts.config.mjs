// Node wants the endings of files in imports.
export default {
  input: process.env.INPUT,
  output: { path: process.env.OUTPUT, module: { extension: ".js" } },
};
