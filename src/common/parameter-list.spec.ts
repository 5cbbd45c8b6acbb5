import { parameterListOf } from './parameter-list.ts';

type Callable = (...args: never[]) => unknown;

const methods = (source: string): Callable[] =>
  // The compiler would rewrite what these cases are about, so they reach the engine as text.
  // eslint-disable-next-line @typescript-eslint/no-implied-eval, @typescript-eslint/no-unsafe-call
  Object.values(new Function(`return {${source}}`)() as Record<string, Callable>);
const listOf = (source: string) => parameterListOf(methods(source)[0]!);

describe('parameterListOf', () => {
  it.each([
    ['find() {}', []],
    ['async find(id, page) {}', ['id', 'page']],
    ['async find(id, /* the (old) one, */ page, // last\n) {}', ['id', 'page']],
    ["find(id = ')', page = f(1, [2, 3]), sort = { by: 'x,y' }) {}", ['id', 'page', 'sort']],
    ['find({ id, page }, [first], $last_1) {}', [undefined, undefined, '$last_1']],
    ["async ['find(it'](id) {}", ['id']],
    ['async *find(ü, 名前) {}', ['ü', '名前']],
    ['find: async (id) => id', ['id']],
    ['find: function (id) {}', ['id']],
  ])('reads the names of %s', (source, names) => {
    expect(listOf(source)).toEqual({ names, isOpen: false });
  });

  it('does not name a rest parameter and says that more may be read', () => {
    expect(listOf('find(id, ...rest) {}')).toEqual({ names: ['id', undefined], isOpen: true });
  });

  it('says that more may be read where the body uses arguments', () => {
    expect(listOf('find(id) { return arguments.length > 1 ? arguments[1] : id; }')).toEqual({
      names: ['id'],
      isOpen: true,
    });
  });

  it.each(['find(a = /[,(]/, b) {}', 'find(a = `${f(")")}`, b) {}', 'find(a = 4 / 2, b) {}', 'find: a => f(a)'])(
    'guesses nothing for %s',
    (source) => {
      expect(listOf(source)).toEqual({ names: [], isOpen: true });
    },
  );

  it('guesses nothing for native code', () => {
    expect(parameterListOf(((id: string) => id).bind(undefined))).toEqual({ names: [], isOpen: true });
  });
});
