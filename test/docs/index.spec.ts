import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const docs = join(__dirname, '../../docs');
const root = join(docs, '..');
const markdownIn = (folder: string) =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name));

/** Targets of the links of a page that point into the repository. */
const linksOf = (page: string): string[] =>
  [...readFileSync(page, 'utf8').matchAll(/\]\(([^)#\s]+)[^)]*\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => join(dirname(page), target));

describe('the documentation', () => {
  it('lists every page in docs/README.md', () => {
    const pages = markdownIn(docs).filter((page) => !page.endsWith('README.md'));
    expect(linksOf(join(docs, 'README.md'))).toEqual(expect.arrayContaining(pages));
  });

  it.each([...markdownIn(docs), ...markdownIn(root)].map((page) => [page.slice(root.length + 1), page]))(
    'links from %s only to what is there',
    (_name, page) => {
      expect(linksOf(page).filter((target) => !existsSync(target))).toEqual([]);
    },
  );
});
