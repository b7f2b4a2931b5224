"""The PostgreSQL JDBC driver, in a process of its own because a JVM takes over its signals.

Reads from standard input, as JSON, the driver's URL and a list of steps; prints what each gave:

- ``["query", sql, parameter, …]``: the columns (label and type name) and the rows as text;
- ``["update", sql, [parameter, …], …]``: the counts of a batch with one execution for each list;
- ``["metadata", method, argument, …]``: what a method of ``DatabaseMetaData`` lists;
- ``["pages", sql, size]``: how many rows a result has that is fetched ``size`` rows at a time.

A failed step gives ``{"error": [sqlstate, message]}``.
"""

import json
import sys

import jpype


def main():
    url, jars, steps = json.load(sys.stdin)
    jpype.startJVM("-Xmx256m", "-XX:TieredStopAtLevel=1", "-Xrs", classpath=[f"{jars}/*"])
    connection = jpype.JClass("java.sql.DriverManager").getConnection(url)
    actions = {"query": query, "update": update, "metadata": metadata, "pages": pages}
    answers = []
    for name, *arguments in steps:
        try:
            answers.append(actions[name](connection, *arguments))
        except jpype.JClass("java.sql.SQLException") as error:
            answers.append({"error": [str(error.getSQLState()), str(error.getMessage())]})
    json.dump(answers, sys.stdout)


def query(connection, sql, *parameters):
    statement = connection.prepareStatement(sql)
    bind(statement, parameters)
    return table(statement.executeQuery())


def update(connection, sql, *executions):
    statement = connection.prepareStatement(sql)
    for parameters in executions:
        bind(statement, parameters)
        statement.addBatch()
    return [int(count) for count in statement.executeBatch()]


def metadata(connection, method, *arguments):
    return table(getattr(connection.getMetaData(), method)(*arguments))


def pages(connection, sql, size):
    connection.setAutoCommit(False)
    statement = connection.createStatement()
    statement.setFetchSize(size)
    rows = statement.executeQuery(sql)
    count = 0
    while rows.next():
        count += 1
    connection.commit()
    connection.setAutoCommit(True)
    return count


def bind(statement, parameters):
    for place, parameter in enumerate(parameters, start=1):
        if parameter is None:
            statement.setNull(place, jpype.JClass("java.sql.Types").VARCHAR)
        elif isinstance(parameter, int):
            statement.setLong(place, parameter)
        elif isinstance(parameter, float):
            statement.setDouble(place, parameter)
        else:
            statement.setString(place, parameter)


def table(rows):
    described = rows.getMetaData()
    places = range(1, described.getColumnCount() + 1)
    columns = [[str(described.getColumnLabel(n)), str(described.getColumnTypeName(n))] for n in places]
    found = []
    while rows.next():
        found.append([None if rows.getString(n) is None else str(rows.getString(n)) for n in places])
    return {"columns": columns, "rows": found}


if __name__ == "__main__":
    main()
