// Puts the dashboard together: one HTML text with its style and script, in a module that the package ships.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildSync, transformSync } from 'esbuild';

const folder = fileURLToPath(new URL('.', import.meta.url));
const target = `${folder}dashboard.html.ts`;

export function dashboard() {
  const source = (name) => readFileSync(`${folder}page/${name}`, 'utf8');
  const { outputFiles } = buildSync({
    entryPoints: [`${folder}page/page.ts`],
    ...{ bundle: true, minify: true, write: false, format: 'iife', target: 'es2022', charset: 'utf8' },
  });
  const style = transformSync(source('page.css'), { loader: 'css', minify: true }).code.trim();
  const html = source('page.html')
    .replace(/>\n+</g, '><')
    .replace('/*STYLE*/', () => style)
    .replace('/*SCRIPT*/', () => outputFiles[0].text.trim().replaceAll('</script', '<\\/script'));
  return `/** Made by build.mjs from the folder \`page\`. */\nexport const DASHBOARD = ${JSON.stringify(html.trim())};\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(target, dashboard());
