// What a user of the built package can name or be handed, as declarations without comments, private members and
// constructors (instances come from Nest). `npm run api:accept` writes it to test/public-api.txt; with `--any` only the
// places are printed that say `any`.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const DIST = join(ROOT, 'dist');
const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

/** The declaration file of each subpath. */
const entries = Object.entries(exports)
  .filter(([, target]) => typeof target === 'object')
  .map(([subpath, { import: target }]) => ({ subpath, file: join(ROOT, target.types) }));
const program = ts.createProgram(
  entries.map(({ file }) => file),
  { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.NodeNext },
);
const checker = program.getTypeChecker();
const printer = ts.createPrinter({ removeComments: true });

const titles = new Map(entries.flatMap(titlesIn));
const { reached, anys } = explore(titles.keys());
const output = process.argv.includes('--any')
  ? [...anys].sort().join('\n')
  : [...reached].map(toText).sort().join('\n\n');
console.log(output);

function titlesIn({ subpath, file }) {
  const symbols = checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(file)));
  const prefix = subpath === '.' ? '' : `${subpath}: `;
  return symbols.map((symbol) => [behindAlias(symbol), `${prefix}${symbol.name}`]);
}

/** Follows every name from the exports on, as far as the package declares it itself. */
function explore(start) {
  // A set may grow while it is walked: what is found on the way is walked too.
  const reached = new Set(start);
  const anys = new Set();
  for (const symbol of reached) symbol.declarations.forEach((declaration) => visit(declaration, []));
  return { reached, anys };

  function visit(node, path) {
    if (isHidden(node)) return;
    const place = isNamed(node) ? [...path, node.name.text] : path;
    if (node.kind === ts.SyntaxKind.AnyKeyword) anys.add(place.join('.'));
    const symbol = ts.isIdentifier(node) ? checker.getSymbolAtLocation(node) : undefined;
    if (symbol !== undefined && isTopLevelOfOurs(behindAlias(symbol))) reached.add(behindAlias(symbol));
    ts.forEachChild(node, (child) => visit(child, place));
  }
}

function toText(symbol) {
  const texts = symbol.declarations.map((declaration) => {
    const isConstant = ts.isVariableDeclaration(declaration);
    const text = printer.printNode(ts.EmitHint.Unspecified, withoutHidden(declaration), declaration.getSourceFile());
    return isConstant ? `export declare const ${text};` : text;
  });
  return [`// ${titles.get(symbol) ?? `(${symbol.name}: not exported)`}`, ...texts].join('\n');
}

function withoutHidden(node) {
  if (!ts.isClassDeclaration(node)) return node;
  const { modifiers, name, typeParameters, heritageClauses, members } = node;
  const shown = members.filter((member) => !isHidden(member));
  return ts.factory.updateClassDeclaration(node, modifiers, name, typeParameters, heritageClauses, shown);
}

function behindAlias(symbol) {
  return symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
}

function isHidden(node) {
  if (ts.isConstructorDeclaration(node)) return true;
  const isPrivate = Boolean(ts.getCombinedModifierFlags(node) & ts.ModifierFlags.Private);
  return isPrivate || (node.name !== undefined && ts.isPrivateIdentifier(node.name));
}

function isNamed({ name }) {
  return name !== undefined && ts.isIdentifier(name);
}

function isTopLevelOfOurs({ declarations = [] }) {
  return declarations.some((declaration) => {
    const isTopLevel = ts.isSourceFile(declaration.parent) || ts.isVariableDeclarationList(declaration.parent);
    return isTopLevel && declaration.getSourceFile().fileName.startsWith(DIST);
  });
}
