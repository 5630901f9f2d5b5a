"""Numbers, text, data formats, and what configures a program."""

from row import Group, Row

NUMBERS = Group(
    "Numbers, dates, random, hashes",
    imports="import copy, datetime, decimal, fractions, hashlib, hmac, random, secrets, statistics, struct, time, uuid, zoneinfo",
    rows=(
        Row("random.Random", "x = random.Random(5); x.random(); expected = random.Random(5); expected.random()", "x.random(); x.seed(9); x.gauss(0, 1)", "x.getstate() == expected.getstate()", works="x.random() == expected.random()", brief=True),
        Row("hash in progress", "x = hashlib.sha256(b'abc'); m = hmac.new(b'k', b'abc', 'sha256')", "x.update(b'spoiled'); m.update(b'spoiled')", "x.hexdigest() == hashlib.sha256(b'abc').hexdigest() and m.digest() == hmac.digest(b'k', b'abc', 'sha256')", works="x.update(b'd') is None and x.hexdigest() == hashlib.sha256(b'abcd').hexdigest()", brief=True),
        Row("decimal.Context", "x = decimal.Context(prec=5); x.divide(decimal.Decimal(1), decimal.Decimal(3))", "x.prec = 50; x.clear_flags(); x.traps[decimal.Inexact] = True", "x.prec == 5 and x.flags[decimal.Inexact] and not x.traps[decimal.Inexact]", part="x.flags", works="x.divide(decimal.Decimal(2), decimal.Decimal(3)) == decimal.Decimal('0.66667')"),
        Row("Decimal, Fraction, complex, big int in a holder", "x = [decimal.Decimal('1.10'), fractions.Fraction(1, 3), 2j, 10 ** 50]", "x[0] += 1; x[1] *= 2; x[2] = 0; x[3] <<= 3", "x == [decimal.Decimal('1.10'), fractions.Fraction(1, 3), 2j, 10 ** 50]", part="x[1]", works="x[1] + 1 == fractions.Fraction(4, 3)"),
        Row("datetime, timedelta, ZoneInfo in a holder", "x = {'t': datetime.datetime(2024, 3, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Berlin'))}", "x['t'] += datetime.timedelta(days=1); zoneinfo.ZoneInfo.clear_cache()", "x['t'].day == 1 and x['t'].tzinfo is zoneinfo.ZoneInfo('Europe/Berlin')", part="x['t'].tzinfo", works="x['t'].utcoffset() == datetime.timedelta(hours=1)"),
        Row("struct.Struct and a packed buffer", "x = bytearray(8); s = struct.Struct('<ii'); s.pack_into(x, 0, 1, 2)", "s.pack_into(x, 0, 7, 8)", "s.unpack(x) == (1, 2)", works="s.pack_into(x, 0, 3, 4) is None and s.unpack(x) == (3, 4)"),
        Row("UUID and NormalDist with slots", "x = [statistics.NormalDist(1, 2), uuid.UUID(int=5)]", "object.__setattr__(x[1], 'int', 6); x[0]._mu = 9", "x[0].mean == 1 and x[1].int == 5", part="x[0]", works="x[0].cdf(1) == 0.5"),
    ),
)

TEXT = Group(
    "Text, formats, settings",
    imports=(
        "import argparse, configparser, difflib, email.message, getpass, gettext, html.parser, http.cookiejar, http.cookies, io\n"
        "import json, logging, optparse, pprint, re, shlex, string, textwrap, urllib.request, xml.dom.minidom\n"
        "import xml.etree.ElementTree as ET, xml.sax, ast, tokenize"
    ),
    rows=(
        Row("pattern and match", "x = re.compile(r'(?P<w>\\w+)').match('hello world'); s = x.re.scanner('a b') if hasattr(x.re, 'scanner') else None; s.search()", "s.search(); re.purge()", "x.group('w') == 'hello' and s.search().group() == 'b'", part="x.re", works="x.span() == (0, 5) and s.search() is None"),
        Row("iterator of matches", "x = re.finditer('.', 'abc'); next(x)", "next(x)", "next(x).group() == 'b'", works="next(x).group() == 'c'"),
        Row("ElementTree", "x = ET.fromstring('<a k=\"v\"><b>t</b><c/></a>'); tree = ET.ElementTree(x)", "x[0].text = 'changed'; x.set('k', 'w'); x.remove(x[1]); ET.SubElement(x, 'd')", "ET.tostring(x) == b'<a k=\"v\"><b>t</b><c /></a>' and tree.getroot() is x", part="x[0]", works="x.find('b').text == 't'", brief=True),
        Row("document of minidom", "x = xml.dom.minidom.parseString('<a><b/></a>')", "x.documentElement.setAttribute('k', 'v'); x.documentElement.removeChild(x.documentElement.firstChild)", "x.documentElement.toxml() == '<a><b/></a>'", part="x.documentElement", works="x.createElement('z').tagName == 'z'"),
        Row("pull parser in the middle of its text", "x = ET.XMLPullParser(['start']); x.feed('<a><b>')", "list(x.read_events()); x.feed('</b></a>'); x.close()", "[e.tag for _, e in x.read_events()] == ['a', 'b']", works="x.feed('</b></a>') is None and x.close() is None"),
        Row("HTML parser in the middle of its text", "class P(html.parser.HTMLParser):\n    def reset(self): super().reset(); self.seen = []\n    def handle_starttag(self, tag, attrs): self.seen.append(tag)\nx = P(); x.feed('<a><b')", "x.feed('><c>'); x.close()", "x.seen == ['a'] and x.rawdata == '<b'", part="x.seen", works="x.feed('>') is None and x.seen == ['a', 'b']"),
        Row("JSON encoder and decoder", "x = json.JSONEncoder(indent=1); d = json.JSONDecoder()", "x.indent = None; x.default = str; d.strict = False; d.memo['k'] = 1", "x.indent == 1 and d.strict is True and d.memo == {} and 'default' not in vars(x)", part="x.item_separator", works="d.decode(x.encode({'a': [1]})) == {'a': [1]}"),
        Row("ConfigParser", "x = configparser.ConfigParser(); x.read_string('[a]\\nk = 1')", "x['a']['k'] = '2'; x.add_section('b'); x.remove_option('a', 'k')", "x.sections() == ['a'] and x['a']['k'] == '1'", part="x['a']", works="x.getint('a', 'k') == 1"),
        Row("ArgumentParser", "x = argparse.ArgumentParser('prog'); x.add_argument('--n', type=int, default=1); g = x.add_argument_group('g')", "x.add_argument('--m'); x.set_defaults(n=5); x.prog = 'spoiled'; g.title = 'h'", "len(x._actions) == 2 and x.prog == 'prog' and g.title == 'g'", part="x._actions[1]", works="x.parse_args(['--n', '3']).n == 3 and x.parse_args([]).n == 1"),
        Row("Namespace", "x = argparse.Namespace(a=[1])", "x.a.append(2); x.b = 1", "x == argparse.Namespace(a=[1])", part="x.a", works="'a' in x"),
        Row("OptionParser", "x = optparse.OptionParser(); x.add_option('-n', dest='n', default=1)", "x.add_option('-m'); x.defaults['n'] = 9", "x.defaults == {'n': 1} and not x.has_option('-m')", part="x.defaults", works="x.parse_args([])[0].n == 1"),
        Row("logger, handlers and records", "said = io.StringIO(); x = logging.getLogger('rows'); x.propagate = False; x.handlers = [logging.StreamHandler(said)]", "x.setLevel('DEBUG'); x.warning('spoiled'); x.handlers[0].setFormatter(logging.Formatter('%(name)s')); x.addHandler(logging.NullHandler()); x.disabled = True", "said.getvalue() == '' and x.level == 0 and len(x.handlers) == 1 and x.handlers[0].formatter is None", part="x.handlers[0]", works="x.warning('hello') is None and said.getvalue() == 'hello\\n'", brief=True),
        Row("message of email", "x = email.message.EmailMessage(); x['Subject'] = 's'; x.set_content('text')", "del x['Subject']; x['To'] = 'a@b'; x.add_attachment('more')", "x['Subject'] == 's' and not x.is_multipart() and x['To'] is None", part="x.policy", works="x.get_content() == 'text\\n'"),
        Row("cookies", "x = http.cookies.SimpleCookie('a=1'); jar = http.cookiejar.CookieJar()", "x['b'] = '2'; x['a']['path'] = '/'; jar._cookies['host'] = {}", "x.output() == 'Set-Cookie: a=1' and jar._cookies == {}", part="x['a']", works="x['a'].value == '1'"),
        Row("URL opener with headers", "x = urllib.request.build_opener(); x.addheaders = [('A', 'b')]", "x.addheaders.append(('C', 'd')); x.handlers.clear()", "x.addheaders == [('A', 'b')] and len(x.handlers) > 3", part="x.addheaders", works="x.open('data:,hi').read() == b'hi'"),
        Row("syntax tree", "x = ast.parse('a = 1')", "x.body[0].value.value = 2; x.body.append(ast.parse('b')); x.body[0].lineno = 99", "ast.unparse(x) == 'a = 1' and x.body[0].lineno == 1", part="x.body[0]", works="compile(x, 'x', 'exec') is not None"),
        Row("SequenceMatcher", "x = difflib.SequenceMatcher(None, 'abcd', 'bcde'); before = x.ratio()", "x.set_seq2('zzzz'); x.ratio()", "x.b == 'bcde' and x.ratio() == before", part="x.b2j", works="x.get_opcodes()[0][0] == 'delete'"),
        Row("shlex, its place in the text", "x = shlex.shlex('one two three'); x.get_token()", "x.get_token(); x.push_token('pushed'); x.wordchars += '-'", "list(x.pushback) == [] and '-' not in x.wordchars and x.get_token() == 'two'", part="x.instream", works="x.get_token() == 'three'"),
        Row("TextWrapper and PrettyPrinter", "x = textwrap.TextWrapper(width=10); p = pprint.PrettyPrinter(width=20)", "x.width = 3; x.extra = []; p._width = 5", "x.width == 10 and not hasattr(x, 'extra') and p._width == 20", works="x.wrap('aaaa bbbb cccc') == ['aaaa bbbb', 'cccc']"),
        Row("translations of gettext", "x = gettext.NullTranslations()", "x.add_fallback(gettext.NullTranslations()); x.gettext = str.upper", "x._fallback is None and x.gettext('a') == 'a'", works="x.gettext('hello') == 'hello'"),
    ),
)

GROUPS = (NUMBERS, TEXT)
