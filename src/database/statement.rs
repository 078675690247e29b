//! Statements that are carried out again and again, and stay prepared on the connections of
//! jobs: parsed and planned once, not each second anew.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::{HasSqlType, Untyped};

/// A statement with parameters `$1`, `$2` and so on, and the values bound to them.
///
/// Its text is one of few: each stays prepared as long as the connection. It reads no table
/// with many partitions: a plan that is made without the values opens them all.
#[must_use = "it is only carried out by execute, load or get_result"]
pub struct Statement<'v> {
    sql: Cow<'static, str>,
    values: Vec<Box<dyn QueryFragment<Pg> + Send + 'v>>,
}

/// A statement without values yet.
pub fn statement<'v>(sql: impl Into<Cow<'static, str>>) -> Statement<'v> {
    Statement {
        sql: sql.into(),
        values: Vec::new(),
    }
}

impl<'v> Statement<'v> {
    /// Binds a value of an SQL type to the next parameter.
    pub fn bind<ST, V>(mut self, value: V) -> Self
    where
        ST: Send + 'v,
        V: ToSql<ST, Pg> + Send + 'v,
        Pg: HasSqlType<ST>,
    {
        self.values.push(Box::new(Value::<ST, V> {
            value,
            sql_type: PhantomData,
        }));
        self
    }
}

impl QueryFragment<Pg> for Statement<'_> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        pass.push_sql(&self.sql);
        // Diesel writes a placeholder for each value. The text has them already, so these are
        // a comment.
        pass.push_sql("\n--");
        for value in &self.values {
            pass.push_sql(" ");
            value.walk_ast(pass.reborrow())?;
        }
        Ok(())
    }
}

/// Statements are told apart by their texts.
impl QueryId for Statement<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Statement<'_> {
    type SqlType = Untyped;
}

impl<C> RunQueryDsl<C> for Statement<'_> {}

impl fmt::Debug for Statement<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Statement").field(&self.sql).finish()
    }
}

struct Value<ST, V> {
    value: V,
    sql_type: PhantomData<ST>,
}

impl<ST, V> QueryFragment<Pg> for Value<ST, V>
where
    Pg: HasSqlType<ST>,
    V: ToSql<ST, Pg>,
{
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        pass.push_bind_param::<ST, V>(&self.value)
    }
}
