"""sqlalchemy."""

from row import Group, Row

MODEL = """
import sqlalchemy as sa
from sqlalchemy import orm
class Base(orm.DeclarativeBase): pass
class User(Base):
    __tablename__ = "user"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str]
    posts: orm.Mapped[list["Post"]] = orm.relationship(back_populates="user")
class Post(Base):
    __tablename__ = "post"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    user_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("user.id"))
    user: orm.Mapped[User] = orm.relationship(back_populates="posts")
def filled():
    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    session = orm.Session(engine)
    session.add(User(id=1, name="ann"))
    session.commit()
    return session
"""

SQLALCHEMY = Group(
    "sqlalchemy",
    package="sqlalchemy",
    imports=MODEL,
    rows=(
        Row("engine on sqlite in memory, committed rows", "s = filled(); x = s.get_bind()", "with x.begin() as c:\n    c.execute(sa.text(\"insert into user values (2, 'bob')\")); c.execute(sa.text('drop table post'))", "s.scalar(sa.text('select count(*) from user')) == 1 and sa.inspect(s.connection()).get_table_names() == ['post', 'user']", part="x.pool", works="s.close()"),
        Row("session with pending and dirty objects", "x = filled(); u = x.get(User, 1); u.name = 'dirty'; x.add(User(id=5, name='pending'))", "x.flush(); x.commit(); x.expunge_all()", "u in x.dirty and len(x.new) == 1 and x.identity_map.values() == [u]", part="x.get_bind()", works="x.commit() is None and x.scalar(sa.select(sa.func.count(User.id))) == 2"),
        Row("session in the middle of a transaction", "x = filled(); x.execute(sa.text(\"update user set name = 'open'\"))", "x.rollback()", "x.in_transaction() and x.scalar(sa.text('select name from user')) == 'open'", works="x.rollback() is None and x.scalar(sa.text('select name from user')) == 'ann'"),
        Row("mapped object, its history and relations", "s = filled(); x = s.get(User, 1); x.posts.append(Post(id=1))", "x.name = 'changed'; x.posts.clear(); sa.orm.make_transient(x)", "x.name == 'ann' and len(x.posts) == 1 and sa.inspect(x).persistent", part="x.posts", works="s.commit() is None and s.scalar(sa.select(sa.func.count(Post.id))) == 1"),
        Row("metadata, tables and columns", "x = sa.MetaData(); t = sa.Table('t', x, sa.Column('id', sa.Integer, primary_key=True))", "sa.Table('u', x); t.append_column(sa.Column('n', sa.Text)); x.remove(t); t.info['k'] = 1", "list(x.tables) == ['t'] and list(t.c.keys()) == ['id'] and t.info == {}", part="x.tables['t']", works="str(sa.select(t)).startswith('SELECT t.id')"),
        Row("mappers and what they were given", "x = sa.inspect(User)", "x.add_property('extra', sa.orm.column_property(User.__table__.c.id + 1)); User.also = 5", "'extra' not in x.attrs and not hasattr(User, 'also')", part="x.local_table", works="x.attrs.keys() == ['posts', 'id', 'name'] or 'name' in x.attrs"),
        Row("listeners of events", "x = sa.create_engine('sqlite://'); heard = []", "sa.event.listen(x, 'connect', lambda *a: heard.append(1)); x.connect().close()", "heard == [] and x.pool.checkedin() >= 0 if hasattr(x.pool, 'checkedin') else heard == []", works="x.connect().close() is None and heard == []"),
        Row("statement and its cache", "e = sa.create_engine('sqlite://'); x = sa.select(sa.literal(1)); c = e.connect(); c.execute(x)", "c.execute(sa.select(sa.literal(2), sa.literal(3))); e._compiled_cache.clear(); x.__dict__['spoiled'] = 1", "len(e._compiled_cache) == 1 and 'spoiled' not in vars(x)", part="e._compiled_cache", works="c.execute(x).scalar() == 1"),
        Row("result in the middle of its rows", "s = filled(); x = s.execute(sa.text('select 1 union select 2 union select 3')); x.fetchone()", "x.all(); x.close()", "x.fetchone() == (2,)", works="x.fetchone() == (3,)"),
    ),
)

GROUPS = (SQLALCHEMY,)
